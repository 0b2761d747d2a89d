"""Frozen networks: the module they share, and that each role of one leaves it as it is to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ganvas
from ganvas import Backbone, Encoder, Trained
from ganvas.engine.evaluation import measure
from ganvas.engine.training import Job, train
from ganvas.runs import experiment as training
from ganvas.runs.folders import to_yaml
from ganvas_plugins.backbones.timm import Timm
from ganvas_plugins.frozen import FrozenMaps

# -- FrozenMaps --------------------------------------------------------------------------------------------------------


class Blind(Encoder):
    """An encoder without a backbone, and so without feature maps."""

    features = 2

    def objective(self, *views: Tensor) -> dict[str, Tensor]:
        return {}

    def encode(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def resnet(shape: tuple[int, ...]) -> Backbone:
    return Timm(shape, model="test_resnet")


def test_maps_are_those_of_the_network_in_eval_mode() -> None:
    frozen = FrozenMaps(resnet, (1, 16, 16)).train()  # type: ignore[arg-type]
    images = torch.randn(3, 1, 16, 16)
    found = frozen(images)
    assert {name: tuple(value.shape[1:]) for name, value in found.items()} == frozen.shapes
    for name, value in frozen.network.eval().feature_maps(images).items():
        assert torch.equal(found[name], value)
    chosen = FrozenMaps(resnet, (1, 16, 16), ["stage4", "stage0"])  # type: ignore[arg-type]
    assert list(chosen(images)) == ["stage0", "stage4"]


def test_it_stays_in_eval_mode_inside_what_is_trained() -> None:
    outer = nn.Sequential(FrozenMaps(resnet, (1, 8, 8)), nn.BatchNorm2d(1)).train()  # type: ignore[arg-type]
    assert outer[1].training
    assert not any(module.training for module in outer[0].modules())
    assert not any(p.requires_grad for p in outer[0].parameters())


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (
            Trained(Blind()),
            (1, 8, 8),
            "the network offers no feature maps; use another network, timm's say",
        ),
        (
            lambda shape: Timm((3, 8, 8), model="test_resnet"),
            (1, 8, 8),
            "the network cannot take images of 1x8x8 (channels, height, width): Given groups=1, weight of size "
            "[16, 3, 3, 3], expected input[1, 1, 8, 8] to have 3 channels, but got 1 channels instead; use a network "
            "made for them, or change the dataset's size",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused(network: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError) as error:
        FrozenMaps(network, shape)
    assert str(error.value) == message


# -- every role --------------------------------------------------------------------------------------------------------

BACKBONE = {"use": "timm", "model": "test_resnet"}  # with batch norm, whose statistics move in training mode
COMMON = {"batch_size": 8, "log_every": 1}
GENERATOR = {"use": "eigengan", "channels": 4, "basis": 2, "noise": 4, "hidden": 8}
GAN = {"use": "gan", "generator": GENERATOR, "discriminator": {"use": "global", "channels": 4}, "steps": 3, **COMMON}
FEATURES = {"use": "self-supervised", "backbone": BACKBONE, "steps": 2, **COMMON}
ATTRIBUTES = {"use": "classifier", "encoder": "features", "steps": 2, **COMMON}
PAIRED = {"condition": "labels", "fakes": "batch"}


def the_condition(job: Job) -> Any:
    return job.algorithm.condition.encoder  # type: ignore[attr-defined]


def the_classifier(job: Job) -> Any:
    return job.algorithm.duel.regularizers[0].classifier  # type: ignore[attr-defined]


def the_regularizer(job: Job) -> Any:
    return job.algorithm.duel.regularizers[0].maps.network  # type: ignore[attr-defined]


def the_discriminator(job: Job) -> Any:
    return job.algorithm.duel.discriminator.maps.network  # type: ignore[attr-defined]


# role -> options of the GAN, where its frozen network is, and whether gradients pass through it to the generator
ROLES: dict[str, tuple[Mapping[str, Any], Callable[[Job], Any], bool]] = {
    "clusters": (
        {"condition": {"use": "clusters", "encoder": "features", "clusters": 3, "samples": 50}},
        the_condition,
        False,
    ),
    "latent": ({"condition": {"use": "latent", "encoder": "features", "samples": 50}}, the_condition, False),
    "classification": (
        {"condition": "labels", "regularizers": [{"use": "classification", "classifier": "attributes"}]},
        the_classifier,
        True,
    ),
    "perceptual": (
        {**PAIRED, "regularizers": [{"use": "perceptual", "network": "features"}]},
        the_regularizer,
        True,
    ),
    "perceptual, a backbone": (
        {**PAIRED, "regularizers": [{"use": "perceptual", "network": BACKBONE}]},
        the_regularizer,
        True,
    ),
    "projected": (
        {"discriminator": {"use": "projected", "network": "features", "channels": 4}},
        the_discriminator,
        True,
    ),
    "projected, a backbone": (
        {"discriminator": {"use": "projected", "network": BACKBONE, "channels": 4}},
        the_discriminator,
        True,
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of runs: the stages before the GAN are trained once."""
    return tmp_path_factory.mktemp("roles") / "runs"


def trained(gan: Mapping[str, Any], folder: Path, runs: Path) -> None:
    stages = {"features": FEATURES, "attributes": ATTRIBUTES, "gan": {**GAN, **gan}}
    (folder / "spec.yaml").write_text(to_yaml({"dataset": "digits", "stages": stages}))
    ganvas.train(folder / "spec.yaml", runs=runs, device="cpu")


def whole(network: Any) -> Iterator[nn.Module]:
    """A network, and the trained ones that it looks through itself (a classifier its encoder)."""
    network = network._module if isinstance(network, Trained) else network
    yield network
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Trained):
                yield from whole(value)


class Watch:
    """Keeps a frozen network's state, and sees with which gradients and in which mode it runs."""

    def __init__(self, network: Any) -> None:
        self.networks = nn.ModuleList(whole(network))
        self.before = {name: value.clone() for name, value in self.state().items()}
        assert any(name.endswith("running_var") for name in self.before)
        assert not any(parameter.requires_grad for parameter in self.networks.parameters())
        self.gradients: list[float] = []
        self.modes: set[bool] = set()

    def looks(self, at: nn.Module | None = None) -> Watch:
        """Looks whenever this part runs: the first convolution, where none is given."""
        at = at or next(module for module in self.networks.modules() if isinstance(module, nn.Conv2d))
        at.register_forward_pre_hook(self.seen)
        return self

    def state(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.networks.state_dict().items() if isinstance(value, Tensor)}

    def seen(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.modes |= {inner.training for network in self.networks for inner in network.modules()}
        if given[0].requires_grad:
            given[0].register_hook(lambda gradient: self.gradients.append(float(gradient.abs().max())))

    def unchanged(self) -> bool:
        state = self.state()
        return list(state) == list(self.before) and all(torch.equal(state[name], v) for name, v in self.before.items())


@pytest.mark.parametrize("role", ROLES)
def test_three_steps_change_no_bit_of_it(
    role: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, find, passes = ROLES[role]
    watched: list[Watch] = []

    def watching(job: Job) -> Any:
        if job.name == "gan":
            watched.append(Watch(find(job)).looks())
        return train(job)

    monkeypatch.setattr(training, "train", watching)
    trained(options, tmp_path, runs)
    (watch,) = watched
    assert watch.unchanged()
    assert watch.modes == {False}
    # One generator step per iteration has it in its graph; so has the step of classification's own.
    assert len(watch.gradients) == (3 if passes else 0)
    assert all(gradient > 0 for gradient in watch.gradients)


def test_measuring_changes_no_bit_of_an_extractor(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[Watch] = []

    def watching(live: Any, metrics: Any, *given: Any, **named: Any) -> Any:
        watched.extend(Watch(metric.extractor).looks(metric.extractor) for metric in metrics)
        return measure(live, metrics, *given, **named)

    monkeypatch.setattr(training, "measure", watching)
    extractor = {"use": "classifier", "training": 2}
    fid = {"use": "fid", "samples": 140, "real": 140, "extractor": extractor}
    trained({"evaluate": {"metrics": [fid], "every": 1}}, tmp_path, runs)
    assert len(watched) == 3
    assert all(watch.unchanged() and watch.modes == {False} for watch in watched)
