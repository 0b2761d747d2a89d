"""Every spec under ``experiments/``: it is right, builds at its own sizes, and trains on data of its own format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import ganvas
from ganvas.engine import states
from ganvas.engine.training import Job, train
from ganvas.registry.plugins import Host
from ganvas.runs import experiment as training

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SPECS = sorted(path.relative_to(EXPERIMENTS).as_posix() for path in EXPERIMENTS.rglob("*.yaml"))

# Which data set a spec reads, by the options that say where it lies; the others come with packages.
ROOTS = {
    "acgan/cifar10.yaml": {"dataset.root": "cifar10"},
    "biggan/cifar10.yaml": {"dataset.root": "cifar10"},
    "cyclegan/horse_style.yaml": {"dataset.a.root": "flat", "dataset.b.root": "flat"},
    "cyclegan/mnist_to_fashion.yaml": {"dataset.b.root": "idx"},
    "dcgan/celeba.yaml": {"dataset.root": "celeba"},
    "encoders/fashion_mnist.yaml": {"dataset.root": "idx"},
    "dcgan/cifar10.yaml": {"dataset.root": "cifar10"},
    "cgan/mnist_full.yaml": {"dataset.root": "idx"},
    "eigengan/celeba.yaml": {"dataset.root": "celeba"},
    "infogan/mnist_full.yaml": {"dataset.root": "idx"},
    "r3gan/cifar10.yaml": {"dataset.root": "cifar10"},
    "san/mnist_full.yaml": {"dataset.root": "idx"},
    "stylegan2/afhq.yaml": {"dataset.root": "afhq"},
    "latent_conditional/cifar10.yaml": {"dataset.root": "cifar10"},
    "infoscc_gan/afhq.yaml": {"dataset.root": "afhq"},
    "infoscc_gan/afhq_clusters.yaml": {"dataset.root": "afhq"},
    "infoscc_gan/celeba.yaml": {"dataset.root": "celeba"},
    "infoscc_gan/fashion_mnist.yaml": {"dataset.root": "idx"},
    "lsgan/celeba.yaml": {"dataset.root": "celeba"},
    "own_images.yaml": {"dataset.root": "flat"},
    "projection/cifar10.yaml": {"dataset.root": "cifar10"},
    "sngan/cifar10.yaml": {"dataset.root": "cifar10"},
    "sngan/fashion_mnist.yaml": {"dataset.root": "idx"},
    "sngan/stl10.yaml": {"dataset.root": "flat"},
    "wgan_gp/cifar10.yaml": {"dataset.root": "cifar10"},
}

# What makes them small: as few changes as keep two steps under a few seconds.
FEATURES = {"stages.features.steps": 2, "stages.features.batch_size": 8, "stages.features.log_every": 1}
ENCODER = FEATURES | {
    "stages.features.backbone": {"use": "timm", "model": "test_resnet", "stem": "original"},
    "stages.attributes.steps": 2,
    "stages.attributes.batch_size": 8,
    "stages.attributes.log_every": 1,
}
EIGENGAN = {
    "stages.gan.generator.channels": 4,
    "stages.gan.generator.max_channels": 16,
    "stages.gan.generator.noise": 8,
    "stages.gan.generator.hidden": 16,
    "stages.gan.discriminator.channels": 4,
}
GAN = {"stages.gan.steps": 2, "stages.gan.batch_size": 8, "stages.gan.log_every": 1}
DCGAN = {"stages.gan.generator.channels": 4, "stages.gan.discriminator.channels": 4}
RESNET = {
    "stages.gan.generator.channels": 4,
    "stages.gan.generator.max_channels": 8,
    "stages.gan.discriminator.channels": 4,
    "stages.gan.discriminator.max_channels": 8,
}
BIGGAN = {"stages.gan.generator.channels": 2, "stages.gan.discriminator.channels": 2}
STYLEGAN2 = {
    f"stages.gan.{network}": {"use": "stylegan2", "channels": 2, "max_channels": 8}
    for network in ("generator", "discriminator")
} | {"stages.gan.generator.latent": 8, "stages.gan.generator.style": 8, "stages.gan.generator.mapping_layers": 2}
R3GAN = {
    f"stages.gan.{network}.{option}": value
    for network in ("generator", "discriminator")
    for option, value in {"channels": 8, "max_channels": 8, "blocks": 1}.items()
}
MLP = {"stages.gan.generator.widths": [16], "stages.gan.discriminator.widths": [16]}
CYCLEGAN = {
    "stages.translation.translator.channels": 4,
    "stages.translation.translator.blocks": 1,
    "stages.translation.discriminator.channels": 4,
    "stages.translation.steps": 2,
    "stages.translation.log_every": 1,
}
CLASSIFIER_FID = {"use": "fid", "samples": 32, "extractor": {"use": "classifier", "training": 3}}
IMAGENET_FID = {"use": "fid", "samples": 32, "extractor": "efficientnet-lite0"}
ACCURACY = {"use": "attribute-accuracy", "samples": 32, "training": 3}
DIVERSITY = {"use": "diversity", "samples": 64}
CHANNELS_COVERAGE = {
    "use": "mode-coverage",
    "samples": 32,
    "extractor": {"use": "channels", "extractor": {"use": "classifier", "training": 3}},
}
MEASURED = "stages.gan.evaluate.metrics"

COUPLES = (
    GAN | DCGAN | {"stages.features.evaluate.metrics": [], "stages.gan.condition.samples": 32, MEASURED: [DIVERSITY]}
)

SMALL: dict[str, dict[str, Any]] = {
    "acgan/cifar10.yaml": GAN | DCGAN | {MEASURED: [ACCURACY, DIVERSITY]},
    "acgan/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, ACCURACY, DIVERSITY]},
    "biggan/cifar10.yaml": GAN | BIGGAN | {MEASURED: [ACCURACY, DIVERSITY]},
    "biggan/mnist.yaml": GAN | BIGGAN | {MEASURED: [CLASSIFIER_FID, ACCURACY, DIVERSITY]},
    "cyclegan/horse_style.yaml": CYCLEGAN | {"dataset.a.size": 32, "dataset.b.size": 32},
    "cyclegan/mnist_to_fashion.yaml": CYCLEGAN,
    "dcgan/celeba.yaml": GAN | DCGAN | {MEASURED: [DIVERSITY]},
    "dcgan/cifar10.yaml": GAN | DCGAN | {MEASURED: [IMAGENET_FID, DIVERSITY]},
    "dcgan/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, DIVERSITY]},
    "encoders/fashion_mnist.yaml": ENCODER | EIGENGAN | GAN | {MEASURED: [CLASSIFIER_FID, ACCURACY]},
    "encoders/mnist.yaml": ENCODER | EIGENGAN | GAN | {MEASURED: [CLASSIFIER_FID, ACCURACY]},
    **{
        f"infoscc_gan/ablation{what}.yaml": ENCODER | EIGENGAN | GAN | {MEASURED: [CLASSIFIER_FID, ACCURACY]}
        for what in ("", "_classification", "_clusters")
    },
    "infoscc_gan/afhq.yaml": ENCODER
    | EIGENGAN
    | GAN
    | {"dataset.size": 32, "dataset.in_memory": False, MEASURED: [ACCURACY, DIVERSITY]},
    "infoscc_gan/afhq_clusters.yaml": ENCODER
    | EIGENGAN
    | GAN
    | {
        "dataset.size": 32,
        "stages.attributes.condition.clusters": 3,
        "stages.gan.condition.clusters": 3,
        MEASURED: [ACCURACY, DIVERSITY],
    },
    "infoscc_gan/celeba.yaml": ENCODER
    | EIGENGAN
    | GAN
    | {"dataset.size": 32, MEASURED: [IMAGENET_FID, ACCURACY, DIVERSITY]},
    "infoscc_gan/fashion_mnist.yaml": ENCODER | EIGENGAN | GAN | {MEASURED: [CLASSIFIER_FID, ACCURACY, DIVERSITY]},
    "lsgan/celeba.yaml": GAN | DCGAN | {MEASURED: [DIVERSITY]},
    "lsgan/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, DIVERSITY]},
    "own_images.yaml": ENCODER
    | EIGENGAN
    | GAN
    | {
        "dataset.size": [24, 32],
        "stages.attributes.condition.clusters": 3,
        "stages.gan.condition.clusters": 3,
        MEASURED: [ACCURACY, DIVERSITY],
    },
    "cgan/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, ACCURACY]},
    "cgan/mnist_full.yaml": GAN | MLP | {MEASURED: []},
    "eigengan/celeba.yaml": GAN | EIGENGAN | {"dataset.size": 32, MEASURED: [DIVERSITY]},
    "eigengan/mnist.yaml": GAN | EIGENGAN | {MEASURED: [DIVERSITY]},
    "gan/mnist.yaml": GAN | MLP | {MEASURED: [DIVERSITY]},
    "gan/ring.yaml": GAN | MLP | {"dataset.samples": 64, MEASURED: [DIVERSITY]},
    "gan/stacked_mnist.yaml": GAN | DCGAN | {"dataset.length": 64, MEASURED: [CHANNELS_COVERAGE]},
    "infogan/mnist_full.yaml": GAN | DCGAN | {MEASURED: []},
    "r3gan/cifar10.yaml": GAN | R3GAN | {MEASURED: [DIVERSITY]},
    "r3gan/mnist.yaml": GAN | R3GAN | {MEASURED: [DIVERSITY]},
    "san/mnist.yaml": GAN | DCGAN | {MEASURED: [DIVERSITY]},
    "san/mnist_full.yaml": GAN | DCGAN | {MEASURED: []},
    "san/mnist_mlp.yaml": GAN | MLP | {MEASURED: [DIVERSITY]},
    "san/slicing.yaml": GAN | MLP | {MEASURED: [CLASSIFIER_FID], "stages.rejected.metrics": [CLASSIFIER_FID]},
    "stylegan2/afhq.yaml": GAN | STYLEGAN2 | {"dataset.size": 32, MEASURED: [DIVERSITY]},
    "stylegan2/openmoji.yaml": GAN
    | STYLEGAN2
    | {"dataset.size": 16, "dataset.groups": ["component"], MEASURED: [DIVERSITY]},
    "infogan/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, DIVERSITY]},
    "latent_conditional/cifar10.yaml": FEATURES
    | COUPLES
    | {"stages.features.backbone": {"use": "timm", "model": "test_resnet", "stem": "original"}},
    "latent_conditional/mnist.yaml": FEATURES | COUPLES | {"stages.features.backbone.layer": "conv1"},
    "projection/cifar10.yaml": GAN | RESNET | {MEASURED: [ACCURACY, DIVERSITY]},
    "projection/mnist.yaml": GAN | RESNET | {MEASURED: [CLASSIFIER_FID, ACCURACY, DIVERSITY]},
    "quickstart.yaml": ENCODER | EIGENGAN | GAN | {MEASURED: [CLASSIFIER_FID, ACCURACY, DIVERSITY]},
    "sngan/cifar10.yaml": GAN | RESNET | {MEASURED: [DIVERSITY]},
    "sngan/fashion_mnist.yaml": GAN | RESNET | {MEASURED: [CLASSIFIER_FID, DIVERSITY]},
    "sngan/stl10.yaml": GAN | RESNET | {MEASURED: [DIVERSITY]},
    "wgan/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, DIVERSITY]},
    "wgan/mnist_warm_up.yaml": GAN | DCGAN | {MEASURED: []},
    "wgan_gp/cifar10.yaml": GAN | RESNET | {MEASURED: [DIVERSITY]},
    "wgan_gp/mnist.yaml": GAN | DCGAN | {MEASURED: [CLASSIFIER_FID, DIVERSITY]},
}

UNTRAINED = {"latent_conditional/mnist.yaml": {"features"}}  # stages whose weights stay as they are

SLOW = ("dcgan/cifar10.yaml", "infoscc_gan/celeba.yaml")  # those that measure with an ImageNet network

# Optimizer steps of two iterations, by optimizer: what the papers' algorithm boxes say.
INFOSCC = {
    "features": {"encoder": 2},
    "attributes": {"classifier": 2},
    # the generator's own step twice and the classification step once (every 2nd); R1's step once (every 16th)
    "gan": {"generator": 3, "discriminator": 3},
}
FIVE_CRITIC_STEPS = {"gan": {"generator": 2, "discriminator": 10}}
STEPS = {
    "biggan/cifar10.yaml": {"gan": {"generator": 2, "discriminator": 8}},
    "biggan/mnist.yaml": {"gan": {"generator": 2, "discriminator": 4}},
    "cyclegan/horse_style.yaml": {"translation": {"translators": 2, "discriminators": 2}},
    "cyclegan/mnist_to_fashion.yaml": {"translation": {"translators": 2, "discriminators": 2}},
    "infoscc_gan/afhq.yaml": INFOSCC,
    "infoscc_gan/afhq_clusters.yaml": INFOSCC,
    "infoscc_gan/celeba.yaml": INFOSCC,
    # the first iteration also takes the lazy penalties' own steps
    "stylegan2/afhq.yaml": {"gan": {"generator": 3, "discriminator": 3}},
    "stylegan2/openmoji.yaml": {"gan": {"generator": 3, "discriminator": 3}},
    "latent_conditional/cifar10.yaml": {"gan": {"generator": 2, "discriminator": 2}},
    "own_images.yaml": INFOSCC,
    "projection/cifar10.yaml": FIVE_CRITIC_STEPS,
    "projection/mnist.yaml": {"gan": {"generator": 2, "discriminator": 4}},
    "sngan/cifar10.yaml": FIVE_CRITIC_STEPS,
    "sngan/fashion_mnist.yaml": {"gan": {"generator": 2, "discriminator": 4}},
    "sngan/stl10.yaml": FIVE_CRITIC_STEPS,
    "wgan/mnist.yaml": FIVE_CRITIC_STEPS,
    "wgan/mnist_warm_up.yaml": {"gan": {"generator": 2, "discriminator": 200}},
    "wgan_gp/cifar10.yaml": FIVE_CRITIC_STEPS,
    "wgan_gp/mnist.yaml": FIVE_CRITIC_STEPS,
}


@pytest.fixture(scope="session")
def data(miniatures: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small data sets in the formats that the specs read."""
    folder = tmp_path_factory.mktemp("data")
    miniatures.write_cifar10(folder / "cifar10")
    miniatures.write_celeba(folder / "celeba", number=24)
    miniatures.write_afhq(folder / "afhq", side=64)
    miniatures.write_flat_folder(folder / "flat")
    miniatures.write_idx_folder(folder / "idx")
    return {name: folder / name for name in ("cifar10", "celeba", "afhq", "flat", "idx")}


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]]]:
    """Stage -> network -> its parameters before and after training."""
    seen: dict[str, dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]]] = {}

    def recorded(job: Job) -> Any:
        networks = job.algorithm.networks()
        before = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
        outcome = train(job)
        seen[job.name] = {name: (before[name], list(network.parameters())) for name, network in networks.items()}
        return outcome

    monkeypatch.setattr(training, "train", recorded)
    return seen


def roots(spec: str, data: dict[str, Path]) -> dict[str, str]:
    return {path: str(data[name]) for path, name in ROOTS.get(spec, {}).items()}


def logged(folder: Path) -> Iterator[dict[str, float]]:
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        yield json.loads(line)


def test_every_spec_is_tried() -> None:
    assert sorted(SMALL) == SPECS


@pytest.mark.parametrize("spec", SPECS)
def test_checks_at_its_own_sizes(spec: str, data: dict[str, Path]) -> None:
    report = ganvas.check(EXPERIMENTS / spec, overrides=roots(spec, data))
    assert report.missing == []
    assert report.unchecked == []
    assert all(number > 0 for networks in report.parameters.values() for number in networks.values())


@pytest.mark.parametrize("spec", sorted(ROOTS))
def test_checks_without_its_data(spec: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    overrides: dict[str, Any] = {path: str(nowhere) for path in ROOTS[spec]}
    if "idx" in ROOTS[spec].values():
        (path,) = ROOTS[spec]
        overrides[path.replace("root", "download")] = False
    report = ganvas.check(EXPERIMENTS / spec, overrides=overrides)
    assert report.missing
    assert all(str(nowhere) in line and "\n" not in line for line in report.missing)


@pytest.mark.parametrize("spec", [pytest.param(s, marks=pytest.mark.slow) if s in SLOW else s for s in SPECS])
def test_trains(spec: str, data: dict[str, Path], tmp_path: Path, weights: dict[str, Any]) -> None:
    overrides = SMALL[spec] | roots(spec, data)
    run = ganvas.train(EXPERIMENTS / spec, overrides=overrides, runs=tmp_path, device="cpu")
    assert list(weights) == list(run)
    for stage, folder in run.folders.items():
        lines = list(logged(folder))
        trained = [line["iteration"] for line in lines if "time/images-per-second" in line]
        assert trained == ([1, 2] if weights[stage] else [])  # a stage that only measures has no networks
        assert all(math.isfinite(value) for line in lines for value in line.values())
        still = stage in UNTRAINED.get(spec, ()) or not weights[stage]
        assert any(name.startswith("loss/") for name in lines[0]) is not still
        for name, (before, after) in weights[stage].items():
            moved = any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
            assert moved is not still, (stage, name)
            assert all(new.isfinite().all() for new in after), (stage, name)
    wanted = {metric["use"] for metric in overrides.get(MEASURED, [])}
    measured = run.metrics(list(run)[-1])
    assert {name.partition("@")[0] for name in measured} == wanted
    assert all(math.isfinite(metric["value"]) for metric in measured.values())
    for stage, expected in STEPS.get(spec, {}).items():
        assert optimizer_steps(run.folders[stage]) == expected


def optimizer_steps(folder: Path) -> dict[str, int]:
    """The most steps that any parameter of an optimizer took, at the last checkpoint."""
    state = states.load(max((folder / "checkpoints").glob("[0-9]*.safetensors")))
    return {
        name: int(max(float(entry["step"]) for entry in optimizer["state"].values()))
        for name, optimizer in state["optimizers"].items()
    }


ENCODERS = [name for name in Host().names("encoder") if name != "simclr"]
EVERY_STEP = {f"stages.{stage}.steps": 2 for stage in ("features", "attributes", "gan")} | {MEASURED: []}


def swapped(encoder: str, folder: Path) -> Path:
    """The quickstart with one word replaced."""
    text = (EXPERIMENTS / "quickstart.yaml").read_text()
    assert text.count("encoder: simclr\n") == 1
    spec = folder / "quickstart.yaml"
    spec.write_text(text.replace("encoder: simclr\n", f"encoder: {encoder}\n"))
    return spec


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_is_swapped_by_one_word(encoder: str, tmp_path: Path) -> None:
    report = ganvas.check(swapped(encoder, tmp_path))
    assert list(report.parameters) == ["features", "attributes", "gan"]


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_swapped_encoder_trains(encoder: str, tmp_path: Path) -> None:
    run = ganvas.train(swapped(encoder, tmp_path), overrides=EVERY_STEP, runs=tmp_path / "runs", device="cpu")
    features = run["features"].encode(torch.linspace(-1, 1, 4 * 28 * 28).view(4, 1, 28, 28))
    assert features.shape == (4, run["features"].algorithm.encoder.features)
    assert features.isfinite().all()
    assert run["gan"].sample(2, condition=3, seed=0).shape == (2, 1, 28, 28)


def test_both_stages_fit_the_same_clusters(data: dict[str, Path], tmp_path: Path) -> None:
    """The classifier's targets are the generator's conditions only if cluster 2 is the same cluster in both."""
    spec = "infoscc_gan/afhq_clusters.yaml"
    overrides = SMALL[spec] | roots(spec, data) | {MEASURED: []}
    run = ganvas.train(EXPERIMENTS / spec, overrides=overrides, runs=tmp_path, device="cpu")
    first, second = run["attributes"].algorithm.condition, run["gan"].algorithm.condition
    assert torch.equal(first.centroids, second.centroids)
    assert first.centroids.abs().sum() > 0


def test_clipped_critics_stay_clipped(tmp_path: Path) -> None:
    overrides = SMALL["wgan/mnist.yaml"] | {MEASURED: []}
    run = ganvas.train(EXPERIMENTS / "wgan/mnist.yaml", overrides=overrides, runs=tmp_path, device="cpu")
    critic = run["gan"].algorithm.networks()["discriminator"]
    largest = max(float(parameter.abs().max()) for parameter in critic.parameters())
    assert largest == pytest.approx(0.01, rel=1e-6)
