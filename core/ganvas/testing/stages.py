"""Conformance of what acts on whole stages: algorithms, metrics, samplers, trackers, optimizers."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.engine.evaluation import TrainedStage
from ganvas.engine.health import Health
from ganvas.engine.training import check_updates
from ganvas.kinds import algorithm as algorithms
from ganvas.kinds.algorithm import Preview
from ganvas.kinds.data import Data
from ganvas.kinds.evaluation import Measurement, Sampler
from ganvas.registry.hooks import StageRecord, implementations
from ganvas.spec.build import fork_random
from ganvas.testing import doubles
from ganvas.testing.probes import listed, options_stay, resumes, seed_everything, seeded_states, tensors_of
from ganvas.testing.suite import Broken, Case, Subject, Suite, skip

__all__ = ["suite"]

suite = Suite("algorithm", "metric", "sampler", "tracker", "optimizer")
NUMBER = 4


# -- algorithms --------------------------------------------------------------------------------------------------------


def algorithm(subject: Subject, case: Case, seed: int = 0) -> Any:
    """The algorithm over data that have its fields."""
    data = case.data()
    made = subject.build(case, seed, given=(data,))
    lacking = set(made.needs) - set(data.fields)
    if lacking:
        skip(f"it needs {', '.join(sorted(lacking))}")
    if (prepare := getattr(made, "prepare", None)) is not None:
        prepare(data, torch.Generator(case.device).manual_seed(0))
    for inner in made.modules():
        if inner is not made and (prepare := getattr(inner, "prepare", None)) is not None and hasattr(inner, "of"):
            prepare(data, torch.Generator(case.device).manual_seed(0))
    return made


def _batch(data: Data) -> dict[str, Tensor]:
    """The first samples of every source, named as in a step's batch."""
    found = {}
    for source in data.sources:
        for name, values in next(data.batches(8, source)).items():
            found[f"{source}.{name}" if source else name] = values
    return found


@suite.check(
    "its updates train networks of networks(), under one name each, no parameter under two optimizers",
    "networks and updates have to agree",
    "updates",
    kinds=("algorithm",),
)
def its_updates_fit_its_networks(subject: Subject, case: Case) -> None:
    made = algorithm(subject, case)
    networks, groups = made.networks(), made.updates()
    if not (networks and groups) and (made.steps is None or networks or groups):
        raise Broken(f"there are {len(networks)} networks and {len(groups)} updates")
    flat = algorithms.flat(groups)
    try:
        check_updates(networks, groups, {update.optimizer_name for update in flat})
    except ValueError as error:
        raise Broken(str(error)) from error
    idle = sorted(set(networks) - {name for update in flat for name in update.trains})
    if idle:
        raise Broken(f"networks() names {', '.join(idle)}, which no update trains")
    owned = {id(p) for network in networks.values() for p in network.parameters()}
    lost = [name for name, p in made.named_parameters() if id(p) not in owned and p.requires_grad]
    if lost:
        raise Broken(f"{', '.join(lost[:4])} belong to no network of networks(): no update would train them")


@suite.check(
    "products() gives what `gives` promises, by name and kind",
    "products",
    "products",
    kinds=("algorithm",),
)
def its_products_are_what_it_promises(subject: Subject, case: Case) -> None:
    made = algorithm(subject, case)
    products = made.products()
    for name, kind in made.gives.items():
        if name not in products:
            raise Broken(f"gives promises {name!r}, products() has {', '.join(products) or 'nothing'}")
        if not isinstance(products[name], kind):
            raise Broken(f"the product {name!r} is a {type(products[name]).__name__}, no {kind.__name__}")


@suite.check(
    "an iteration's terms are named scalars that reach every network that the update trains, and every parameter of it",
    "a detach(), or a network that the objective does not use",
    "updates",
    kinds=("algorithm",),
    varied=False,
)
def every_network_learns(subject: Subject, case: Case) -> None:
    if subject.cls.steps is not None:  # type: ignore[attr-defined]
        skip("it trains nothing")
    made = algorithm(subject, case)
    start = {name: value.clone() for name, value in made.state_dict().items() if isinstance(value, Tensor)}
    heard: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        doubles.training(made, 2, Path(name), log_every=1, scalars=lambda index, images, values: heard.extend(values))
    if not any(tag.startswith(("loss/", "penalty/")) for tag in heard):
        raise Broken(f"nothing was logged as a term; there are {', '.join(heard) or 'no scalars'}")
    for network_name, network in made.networks().items():
        mine = {id(p) for p in network.parameters()}
        names = [name for name, p in made.named_parameters(remove_duplicate=False) if id(p) in mine]
        if names and all(
            torch.equal(start[name], dict(made.named_parameters(remove_duplicate=False))[name]) for name in names
        ):
            raise Broken(f"two iterations did not move {network_name!r}")


@suite.check(
    "a training that was stopped and goes on ends with the same bits",
    "what changes while training has to be a parameter, a buffer or in get_extra_state",
    kinds=("algorithm",),
    varied=False,
)
def resumes_to_the_same_bits(subject: Subject, case: Case) -> None:
    if subject.cls.steps is not None:  # type: ignore[attr-defined]
        skip("it trains nothing")
    resumes(lambda seed: algorithm(subject, case, seed))


@suite.check(
    "looking at a round of its duels and at its samples changes nothing",
    "matches is no training: what it pools, counts or averages has to stay as it is",
    "matches",
    kinds=("algorithm",),
    varied=False,
)
def looking_changes_nothing(subject: Subject, case: Case) -> None:
    made = algorithm(subject, case)
    before = {name: value.clone() for name, value in tensors_of(made).items()}
    Health(made, made.data, every=1, samples=8, batch_size=4, steps=1, seed=0, device=torch.device(case.device)).look(
        1, {}
    )
    if changed := [name for name, value in tensors_of(made).items() if not torch.equal(value, before[name])]:
        raise Broken(f"{listed(changed)} changed")


@suite.check(
    "previews are pictures (N, C, H, W) in [-1, 1], the same for the same rng",
    "previews",
    "previews",
    kinds=("algorithm",),
)
def previews_are_pictures(subject: Subject, case: Case) -> None:
    made = algorithm(subject, case).eval()
    batch = _batch(made.data)
    for name, preview in made.previews(batch, torch.Generator(case.device).manual_seed(0)).items():
        if not isinstance(preview, Preview) or preview.images.dim() != 4 or preview.columns < 1:
            raise Broken(f"the preview {name!r} is {type(preview).__name__}")
        if not preview.images.isfinite().all():
            raise Broken(f"the preview {name!r} has values that are infinite or no number")


@suite.check(
    "portrait(stage), where there is one, gives pictures (N, C, H, W), with as many features, images and labels of an "
    "embedding",
    "portrait",
    "portrait",
    kinds=("algorithm",),
)
def portraits_are_pictures(subject: Subject, case: Case) -> None:
    made = algorithm(subject, case).eval()
    stage = TrainedStage("portrayed", made, made.data, torch.device(case.device), seed=0)
    with torch.no_grad():
        found = made.portrait(stage)
    for name, preview in found.items():
        if not isinstance(preview, Preview) or preview.images.dim() != 4:
            raise Broken(f"the portrait {name!r} is {type(preview).__name__}")
        if (points := preview.embedding) is not None:
            counts = {len(part) for part in (points.features, points.images, points.labels) if part is not None}
            if len(counts) > 1:
                raise Broken(f"the embedding of {name!r} mixes {', '.join(map(str, sorted(counts)))} samples")


@suite.check(
    "sample(number, condition, rng), where there is one, gives (number, C, H, W) in [-1, 1], the same for the same rng",
    "sample",
    "sample",
    kinds=("algorithm",),
)
def samples_are_pictures(subject: Subject, case: Case) -> None:
    made = algorithm(subject, case).eval()
    if not hasattr(made, "sample"):
        skip("it draws no samples")
    results = []
    with torch.no_grad():
        for number in (3, 3, 1):
            seed_everything(0)
            results.append(made.sample(number, None, rng=torch.Generator(case.device).manual_seed(1)))
            if tuple(results[-1].shape) != (number, *case.shape):
                raise Broken(f"{tuple(results[-1].shape)}; {(number, *case.shape)} was to come")
    if results[0].abs().max() > 1 + 1e-4:
        raise Broken(f"values up to {results[0].abs().max():.3g}")
    if not torch.equal(results[0], results[1]):
        raise Broken("two samples under one rng differ")


@suite.check(
    "sample is generate(*draw(number, condition, rng)), where there is a generate; a sampler may have no draw",
    "sample draws in another way than draw",
    "sample",
    kinds=("algorithm", "sampler"),
)
def samples_are_made_of_what_is_drawn(subject: Subject, case: Case) -> None:
    if subject.kind == "algorithm":
        made: Any = algorithm(subject, case).eval()
        offered = hasattr(made, "generate")
    else:
        made = subject.build(case, given=(doubles.stage(case.data(), None),))
        offered = type(made).draw is not Sampler.draw
    if not offered:
        skip("it does not tell its latents")
    with torch.no_grad():
        seed_everything(0)
        samples = made.sample(NUMBER, None, rng=torch.Generator(case.device).manual_seed(1))
        latents, rows = made.draw(NUMBER, None, rng=torch.Generator(case.device).manual_seed(1))
        again = made.generate(latents, rows)
    if len(latents) != NUMBER or (rows is not None and len(rows) != NUMBER):
        raise Broken(f"{len(latents)} latents for {NUMBER} samples")
    if not torch.allclose(samples, again, atol=1e-5):
        raise Broken(f"they differ by {(samples - again).abs().max():.3g}")


# -- metrics -----------------------------------------------------------------------------------------------------------


def measured(subject: Subject, case: Case) -> tuple[Any, Any]:
    """The metric, and the first double of a stage that it can measure: a GAN's, or an encoder's."""
    data = case.data()
    metric = subject.build(case, given=(data,))
    refusals = []
    for stage in (doubles.stage(data, (len(data.classes),)), doubles.encoding(data)):
        try:
            metric.check(stage.algorithm)
        except ValueError as error:
            refusals.append(str(error))
        else:
            return metric, stage
    skip(f"it measures other stages: {'; '.join(refusals)}")


@suite.check(
    "measure gives finite Measurements by name, and the same ones again",
    "draws need stage.seed",
    "measure",
    kinds=("metric",),
)
def measures_the_same_again(subject: Subject, case: Case) -> None:
    metric, stage = measured(subject, case)
    results = []
    for _ in range(2):
        seed_everything(1)
        results.append(metric.measure(stage))
    if not results[0]:
        raise Broken("no number at all")
    for name, value in results[0].items():
        if not isinstance(value, Measurement):
            raise Broken(f"{name} is a {type(value).__name__}, not a ganvas.Measurement")
        if not math.isfinite(value.value):
            raise Broken(f"{name} is {value.value}")
        if value.better not in ("lower", "higher"):
            raise Broken(f"better of {name} is {value.better!r}")
        if value != results[1].get(name):
            raise Broken(f"{name} is {value.value} once and {results[1].get(name)} then")


@suite.check(
    "protocol says, as plain JSON, all that the numbers depend on, every option included",
    "an option that changes the numbers belongs into protocol",
    "protocol",
    kinds=("metric",),
)
def its_protocol_says_everything(subject: Subject, case: Case) -> None:
    metric, stage = measured(subject, case)
    metric.measure(stage)
    protocol = dict(metric.protocol)
    if json.loads(json.dumps(protocol)) != protocol:
        raise Broken(f"it is {protocol!r}")
    values = [value for value in subject.component.options.values() if isinstance(value, int | float | str)]
    if values and not protocol:
        raise Broken("it is empty, though the metric has options")


@suite.check(
    "measuring changes nothing of the stage: no weight, no buffer, no mode",
    "train(), optimizers, in-place",
    "measure",
    kinds=("metric",),
)
def measuring_changes_nothing(subject: Subject, case: Case) -> None:
    metric, stage = measured(subject, case)
    kept = {name: value.clone() for name, value in stage.algorithm.state_dict().items() if isinstance(value, Tensor)}
    modes = [module.training for module in stage.algorithm.modules()]
    metric.measure(stage)
    for name, value in kept.items():
        if not torch.equal(value, stage.algorithm.state_dict()[name]):
            raise Broken(f"{name} changed")
    if modes != [module.training for module in stage.algorithm.modules()]:
        raise Broken("some module is in another mode than before")


# -- samplers ----------------------------------------------------------------------------------------------------------


@suite.check(
    "sample(number, condition, rng) gives (number, C, H, W) in [-1, 1], the same after each start() under one rng",
    "sample; what start() has to forget",
    "sample",
    kinds=("sampler",),
)
def sampler_gives_pictures(subject: Subject, case: Case) -> None:
    data = case.data()
    for condition in (None, (len(data.classes),)):
        stage = doubles.stage(data, condition)
        made = subject.build(case, given=(stage,))
        rows = None if condition is None else torch.eye(len(data.classes), device=case.device)[:NUMBER]
        results = []
        with torch.no_grad():
            for _ in range(2):
                seed_everything(0)
                made.start()
                results.append(made.sample(NUMBER, rows, torch.Generator(case.device).manual_seed(1)))
        if tuple(results[0].shape) != (NUMBER, *case.shape):
            raise Broken(f"{tuple(results[0].shape)}; {(NUMBER, *case.shape)} was to come")
        if not results[0].isfinite().all() or results[0].abs().max() > 1 + 1e-4:
            raise Broken("values beyond [-1, 1], infinite or no number")
        if not torch.equal(*results):
            raise Broken("two samples under one rng differ")


# -- trackers ----------------------------------------------------------------------------------------------------------


@suite.check("it has lifecycle hooks", "a hook is decorated with @ganvas.hookimpl", kinds=("tracker",))
def it_has_hooks(subject: Subject, case: Case) -> None:
    found, mistakes = implementations(subject.build(case))
    if mistakes or not found:
        raise Broken("; ".join(mistakes) or "it has no hook at all")


@suite.check(
    "it gets through a stage: start, scalars, pictures, a checkpoint, the end; and one that goes on",
    "its hooks",
    kinds=("tracker",),
)
def it_hears_a_stage(subject: Subject, case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for start in (0, 2):
            made = subject.build(case)
            stage = StageRecord("experiment", "stage", folder, "name: x\n", {"a": 1, "b": None}, start, start * 4)
            pictures = {"samples": Preview(doubles.images(8, case.shape), 4)}
            # Called by name, as pluggy does.
            said: list[tuple[str, dict[str, Any]]] = [
                ("ganvas_stage_started", {"stage": stage}),
                ("ganvas_images", {"stage": stage, "index": start, "images": 4 * start, "previews": pictures}),
                (
                    "ganvas_scalars",
                    {
                        "stage": stage,
                        "index": start + 2,
                        "images": 4 * start + 8,
                        "scalars": {"loss/x": 0.5, "metric/y": 1.0},
                    },
                ),
                ("ganvas_checkpoint_saved", {"stage": stage, "index": start + 2, "path": folder / "checkpoint"}),
                (
                    "ganvas_stage_finished",
                    {
                        "stage": stage,
                        "metrics": {"fid@double": {"value": 1.0, "deviation": None, "better": "lower", "protocol": {}}},
                    },
                ),
            ]
            for hook, values in said:
                if (method := getattr(made, hook, None)) is not None:
                    taken = method.__code__.co_varnames[1 : method.__code__.co_argcount]
                    method(**{argument: values[argument] for argument in taken})


# -- optimizers --------------------------------------------------------------------------------------------------------


@suite.check(
    "build gives a torch optimizer over the parameters that lowers a simple loss",
    "build",
    "build",
    kinds=("optimizer",),
)
def it_lowers_a_loss(subject: Subject, case: Case) -> None:
    made = subject.build(case)
    weights = nn.Parameter(torch.linspace(-1, 1, 12, device=case.device).view(3, 4))
    optimizer = made.build([weights])
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Broken(f"build gives a {type(optimizer).__name__}")
    values = []
    for _ in range(30):
        optimizer.zero_grad(set_to_none=True)
        loss = (weights - 3).square().sum()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    if not math.isfinite(values[-1]) or values[-1] >= values[0]:
        raise Broken(f"the loss went from {values[0]:.6g} to {values[-1]:.6g} in 30 steps")


@suite.check(
    "what a schedule moves is named as in torch's parameter groups",
    "an attribute that holds a Scheduled is named like the group's key",
    "settings",
    kinds=("optimizer",),
)
def its_schedules_have_torchs_names(subject: Subject, case: Case) -> None:
    from ganvas.kinds.options import Scheduled

    made = subject.build(case)
    groups = made.build([nn.Parameter(torch.zeros(2))]).param_groups[0]
    for name, value in vars(made).items():
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, Scheduled) for part in parts) and name not in groups:
            raise Broken(f"the attribute {name!r} holds a schedule, but torch's groups have {', '.join(groups)}")


@suite.check(
    "a training that was stopped and goes on ends with the same bits",
    "state outside torch's optimizer.state",
    "build",
    kinds=("optimizer",),
)
def optimizer_resumes(subject: Subject, case: Case) -> None:
    def make(seed: int) -> doubles.Arena:
        with fork_random(seed):
            return doubles.arena(case.data(), None)

    resumes(make, optimizers=subject.build(case))


# -- all ---------------------------------------------------------------------------------------------------------------


@suite.check("the options stay as they were given", "pop, append or assignments on a list or dict option", varied=False)
def leaves_its_options_alone(subject: Subject, case: Case) -> None:
    options_stay(subject, _run(subject, case))


@suite.check(
    "nobody but the engine seeds the global generators (torch's, numpy's, Python's)",
    "manual_seed, numpy.random.seed or random.seed",
    {"algorithm": "previews", "metric": "measure", "sampler": "sample"},
    varied=False,
    kinds=("algorithm", "metric", "sampler"),
)
def leaves_the_seeds_alone(subject: Subject, case: Case) -> None:
    run = _run(subject, case)
    run()  # what is computed once and kept may draw under seeds of its own
    seeded_states(run)


def _run(subject: Subject, case: Case) -> Callable[[], Any]:
    if subject.kind == "algorithm":
        made = algorithm(subject, case).eval()
        batch = _batch(made.data)
        return lambda: made.previews(batch, torch.Generator(case.device))
    if subject.kind == "metric":
        metric, stage = measured(subject, case)
        return lambda: metric.measure(stage)
    if subject.kind == "sampler":
        sampler = subject.build(case)
        return lambda: sampler.sample(NUMBER, None, torch.Generator(case.device))
    return lambda: subject.build(case)
