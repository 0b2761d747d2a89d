"""Stages whose samples are their latents and whose discriminator is a formula, so that all densities are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ganvas import Algorithm, Condition, Critique, Data, Discriminator, Generator, Latents, Segment
from ganvas.engine.evaluation import TrainedStage
from ganvas_plugins.algorithms.gan import Gan
from ganvas_plugins.augmentations.none import NoAugmentation
from ganvas_plugins.conditions.none import NoCondition
from ganvas_plugins.losses.hinge import Hinge

CLASSES = 3


class Shows(Generator):
    """Samples whose first pixels are the latents and whose others are the condition."""

    prior = Latents({"z": 1})

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.latents = self.prior
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, latents: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        seen = latents if condition is None else torch.cat([latents, condition], 1)
        return self.gain * seen[:, None, None]


class Classes(Condition):
    shape = (CLASSES,)
    segments = (Segment("one-hot", CLASSES),)

    def __init__(self, data: Data) -> None:
        super().__init__()

    def of(self, batch: Any) -> torch.Tensor:
        raise AssertionError("nothing is trained here")

    def sample(self, number: int, rng: torch.Generator) -> torch.Tensor:
        return torch.eye(CLASSES)[torch.randint(CLASSES, (number,), generator=rng)]


class Codes(Classes):
    """A condition that real samples do not have."""

    observed = False


@pytest.fixture
def classes() -> type[Condition]:
    return Classes


@pytest.fixture
def codes() -> type[Condition]:
    return Codes


Make = Callable[..., TrainedStage]


@pytest.fixture
def stage_of() -> Make:
    """``stage_of(score)``: a stage whose discriminator gives ``score(values (N, D), condition)``."""

    def make(
        score: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor],
        prior: Latents = Latents({"z": 1}),  # noqa: B008  (it is frozen)
        condition: type[Condition] = NoCondition,
    ) -> TrainedStage:
        class Judge(Discriminator):
            def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
                super().__init__()

            def forward(self, samples: torch.Tensor, condition: torch.Tensor | None = None) -> Critique:
                return Critique(score(samples[:, 0, 0, : prior.size], condition))

        network = type("Network", (Shows,), {"prior": prior})
        width = prior.size + (0 if condition is NoCondition else CLASSES)
        fields = {"images": {"shape": [1, 1, width], "dtype": "uint8", "range": [0, 255]}}
        data = Data(None, {"fields": fields, "classes": [], "attributes": [], "fingerprint": ""})
        algorithm = Gan(
            data, generator=network, discriminator=Judge, loss=Hinge, condition=condition, augmentation=NoAugmentation
        )
        return TrainedStage("gan", algorithm, data, torch.device("cpu"), seed=0)

    return make


@pytest.fixture
def undiscriminating() -> TrainedStage:
    """A stage that can generate and has no discriminator."""

    class Alone(Algorithm):
        component_name = "alone"
        gives = {"generator": Generator}

        def generate(self, latents: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
            return latents

    data = Data(None, {"fields": {}, "classes": [], "attributes": [], "fingerprint": ""})
    return TrainedStage("alone", Alone(data), data, torch.device("cpu"), seed=0)
