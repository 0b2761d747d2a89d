"""Any combination trains: two steps of every pair of parts that the contracts allow; the others are listed, with why.

The names come from the registry, so a new component is tried with every partner as soon as it is registered. A pair
that ``ganvas check`` refuses stands in ``REFUSED`` with the line it gives. One that trains has finite losses, and every
parameter of every network gets a gradient within two steps, but for those that ``EXEMPT`` names, with the reason.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from ganvas.engine.training import Job, train
from ganvas.kinds.algorithm import Algorithm, flat
from ganvas.kinds.data import Data
from ganvas.kinds.networks import place
from ganvas.registry.documents import Mistakes
from ganvas.registry.plugins import Host
from ganvas.runs.api import read
from ganvas.runs.checking import check_experiment
from ganvas.runs.folders import to_yaml
from ganvas.spec.build import Builder
from ganvas.spec.experiment import Experiment
from ganvas_plugins.optimizers.adam import Adam

sys.path.insert(0, str(Path(__file__).parents[1]))
import miniatures

FOLDER = tempfile.TemporaryDirectory()
miniatures.write_celeba(Path(FOLDER.name), number=8)

DATA = {"use": "digits", "size": 16}
WITH_ATTRIBUTES = {"use": "celeba", "root": FOLDER.name, "size": 16, "split": "all"}
STEPS, BATCH = 2, 4
BACKBONE = {"use": "timm", "model": "test_resnet"}

# Small networks, and what a component needs besides its name. Everything else stands at its default.
OPTIONS: dict[str, dict[str, Any]] = {
    "generator/dcgan": {"channels": 4, "latent": 4},
    "generator/eigengan": {"channels": 4, "basis": 2, "noise": 4, "hidden": 8},
    "discriminator/global": {"channels": 4},
    "discriminator/patch": {"channels": 4, "layers": 2},
    "discriminator/dcgan": {"channels": 4},
    "discriminator/projected": {"network": BACKBONE, "channels": 4},
    "discriminator/mlp": {"widths": [8]},
    "discriminator/resnet": {"channels": 4},
    "discriminator/biggan": {"channels": 4},
    "discriminator/stylegan2": {"channels": 4},
    "discriminator/r3gan": {"channels": 4, "blocks": 1, "group_size": 4},
    "discriminator/unet": {"channels": 4},
    "generator/stylegan2": {"channels": 4, "latent": 4, "style": 8, "mapping_layers": 2},
    "generator/r3gan": {"channels": 4, "latent": 4, "blocks": 1, "group_size": 4},
    "generator/mlp": {"latent": 4, "widths": [8]},
    "generator/resnet": {"latent": 4, "channels": 4},
    "generator/biggan": {"latent": 4, "channels": 4, "embedding": 4},
    "augmentation/byol-views": {"view": "first"},
    "head/minibatch-discrimination": {"kernels": 3, "dimensions": 2},
    "regularizer/lecam": {"start": 0},
    "regularizer/classification": {"classifier": "attributes"},
    "regularizer/perceptual": {"network": BACKBONE},
    "condition/clusters": {"encoder": "features", "clusters": 3, "restarts": 1},
    "condition/latent": {"encoder": "features", "samples": 32},
}

# The plain partners of what is tried, by kind.
PARTNERS = {
    "generator": "dcgan",
    "discriminator": "global",
    "loss": "non-saturating",
    "condition": "labels",
    "augmentation": "none",
}

# What a component needs of the stage around it: partners of other kinds, or options of the algorithm.
NEEDS: dict[str, dict[str, Any]] = {
    "loss/san": {"head": "san"},
    "loss/multi-hinge": {"head": "multi-class"},
    "head/san": {"loss": "san"},
    "head/multi-class": {"loss": "multi-hinge"},
    "regularizer/orthogonality": {"generator": "eigengan"},
    "regularizer/perceptual": {"fakes": "batch"},
    "regularizer/mutual-information": {"condition": "code"},
    "regularizer/path-length": {"generator": "stylegan2"},
    "condition/attributes": {"dataset": WITH_ATTRIBUTES},
}

BATCH_NORM = "{} has batch norm, under which no gradient is one sample's own; give the discriminator norm: none"
A_HEAD_FOR_EACH_SCALE = (
    "projected has a head for each scale and puts their scores side by side; it cannot do so with what else {} gives; "
    "use head: linear"
)

# What needs something that earlier stages trained.
LATER = {"regularizer/classification", "condition/clusters", "condition/latent"}

A_HEAD_FOR_EACH_RESOLUTION = (
    "unet has a head for the image and one for its pixels and puts their scores side by side; it cannot do so with "
    "what else {} gives; use head: linear"
)
NO_PIXELS = "{} has no scores of pixels that cutmix could compare; use discriminator: unet, or leave out cutmix"
# Heads that give more than scores, and what brings them along.
RICH = {
    "loss/san": "SanHead",
    "loss/multi-hinge": "MultiClassHead",
    "head/san": "SanHead",
    "head/multi-class": "MultiClassHead",
    "head/auxiliary-classifier": "AuxiliaryClassifier",
    "head/twin-auxiliary": "TwinAuxiliary",
    "head/contrastive": "Contrastive",
    "head/data-to-data": "DataToData",
}
DISCRIMINATORS = {
    "biggan": "BigGanDiscriminator",
    "dcgan": "DcganDiscriminator",
    "global": "GlobalDiscriminator",
    "mlp": "MlpDiscriminator",
    "patch": "PatchDiscriminator",
    "projected": "ProjectedDiscriminator",
    "r3gan": "R3GanDiscriminator",
    "resnet": "ResnetDiscriminator",
    "stylegan2": "StyleGan2Discriminator",
}

# (first, second) -> what `ganvas check` says of the pair.
REFUSED: dict[tuple[str, str], str] = {
    ("regularizer/gradient-penalty", "discriminator/dcgan"): BATCH_NORM.format("DcganDiscriminator"),
    ("regularizer/gradient-penalty", "discriminator/patch"): BATCH_NORM.format("PatchDiscriminator"),
    **{(part, "discriminator/projected"): A_HEAD_FOR_EACH_SCALE.format(head) for part, head in RICH.items()},
    **{(part, "discriminator/unet"): A_HEAD_FOR_EACH_RESOLUTION.format(head) for part, head in RICH.items()},
    **{
        ("regularizer/cutmix", f"discriminator/{name}"): NO_PIXELS.format(title)
        for name, title in DISCRIMINATORS.items()
    },
}

# (pattern of "first x second", pattern of a parameter, why it may get no gradient but zero).
EXEMPT: list[tuple[str, str, str]] = [
    (
        "loss/(wasserstein|hinge|relativistic|san)",
        r"bias$",
        "a bias that shifts all scores alike changes no difference of a real one and a fake one",
    ),
]

KINDS = {*PARTNERS, "head", "regularizer"}
FAMILIES = [
    ("loss", "discriminator"),
    ("head", "discriminator"),
    ("regularizer", "discriminator"),
    ("generator", "condition"),
    ("augmentation", "generator"),
]


def names(kind: str) -> list[str]:
    return [f"{entry.kind}/{entry.name}" for entry in Host().entries() if entry.kind == kind]


PAIRS = [pair for family in FAMILIES for pair in itertools.product(*map(names, family))]


def use(kind: str, name: str) -> dict[str, Any]:
    return {"use": name, **OPTIONS.get(f"{kind}/{name}", {})}


def stage(*components: str) -> dict[str, Any]:
    """A stage in which these parts meet, with plain partners or those that they need."""
    chosen: dict[str, Any] = dict(PARTNERS)
    for component in components:
        chosen |= NEEDS.get(component, {})
    chosen |= dict(component.split("/") for component in components)
    options = {key: chosen.pop(key) for key in list(chosen) if key not in KINDS}
    parts = {kind: use(kind, name) for kind, name in chosen.items()}
    if "head" in parts:
        parts["discriminator"]["head"] = parts.pop("head")
    if "regularizer" in parts:
        options["regularizers"] = [parts.pop("regularizer")]
    return {"use": "gan", **parts, **options, "steps": STEPS, "batch_size": BATCH, "log_every": 1}


@pytest.fixture(scope="module")
def earlier() -> dict[str, Algorithm]:
    """What earlier stages are to have trained, by name."""
    return {}


def written(folder: Path, *components: str) -> Experiment:
    plain = {"steps": STEPS, "batch_size": BATCH}
    earlier = {
        "features": {"use": "self-supervised", "backbone": BACKBONE, **plain},
        "attributes": {"use": "classifier", "encoder": "features", **plain},
    }
    stages = {**(earlier if LATER & set(components) else {}), "gan": stage(*components)}
    path = folder / "spec.yaml"
    path.write_text(to_yaml({"dataset": DATA, "stages": stages}))
    return read(path)


def built(experiment: Experiment, name: str, earlier: dict[str, Algorithm]) -> Algorithm:
    """The algorithm of a stage, prepared; the stages before it have the weights they start from."""
    found = experiment.stages[name]

    def trained(reference: Any) -> Any:
        if reference.stage not in earlier:
            earlier[reference.stage] = built(experiment, reference.stage, earlier)
        return earlier[reference.stage].products()[reference.part]

    builder = Builder(found.seed, trained)
    data = Data(builder.dataset(found.dataset))
    algorithm: Algorithm = builder.build(found.algorithm, data)
    place(algorithm, torch.device("cpu"))
    for component, part in builder.built:
        if component.kind == "condition" and hasattr(part, "prepare"):
            part.prepare(data, torch.Generator().manual_seed(0))
    return algorithm


def trains(algorithm: Algorithm, folder: Path) -> tuple[dict[str, float], set[str]]:
    """Trains to the end: the scalars by iteration and name, and the parameters that never had a gradient."""
    idle = {
        f"{name}.{key}": parameter
        for name, network in algorithm.networks().items()
        for key, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    moved: set[str] = set()
    for key, parameter in idle.items():

        def seen(parameter: torch.Tensor, key: str = key) -> None:
            if parameter.grad.any():
                moved.add(key)

        parameter.register_post_accumulate_grad_hook(seen)
    scalars: dict[str, float] = {}
    job = Job(
        name="gan",
        algorithm=algorithm,
        data=algorithm.data,
        optimizers={update.optimizer_name: Adam(lr=1e-3) for update in flat(algorithm.updates())},
        steps=STEPS,
        batch_size=BATCH,
        seed=0,
        device=torch.device("cpu"),
        folder=folder,
        log_every=1,
        scalars=lambda index, images, values: scalars.update(
            {f"{index} {key}": value for key, value in values.items()}
        ),
    )
    train(job)
    return scalars, set(idle) - moved


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[" x ".join(pair) for pair in PAIRS])
def test_any_pair_trains_or_is_refused(first: str, second: str, tmp_path: Path, earlier: dict[str, Algorithm]) -> None:
    experiment = written(tmp_path, first, second)
    try:
        check_experiment(experiment)
    except Mistakes as mistakes:
        said = [problem.message for problem in mistakes.problems]
    else:
        said = []
    assert said == [REFUSED[first, second]] if (first, second) in REFUSED else said == []
    if said:
        return
    algorithm = built(experiment, "gan", earlier)
    scalars, idle = trains(algorithm, tmp_path / "checkpoints")
    assert {key.split()[0] for key in scalars} == {"1", "2"}
    assert all(math.isfinite(value) for value in scalars.values())
    assert {key for key in idle if not exempt(f"{first} x {second}", key)} == set()


def exempt(pair: str, parameter: str) -> bool:
    return any(re.search(pattern, pair) and re.search(which, parameter) for pattern, which, _ in EXEMPT)


def test_the_lists_name_nothing_that_is_not_there() -> None:
    known = {f"{entry.kind}/{entry.name}" for entry in Host().entries()}
    listed: set[str] = set(OPTIONS) | {part for pair in REFUSED for part in pair}
    listed |= LATER | set(NEEDS)
    assert listed <= known
    assert set(REFUSED) <= set(PAIRS)
    assert all(any(re.search(pattern, " x ".join(pair)) for pair in PAIRS) for pattern, _, _ in EXEMPT)
