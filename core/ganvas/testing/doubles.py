"""Doubles: the smallest parts that keep their contracts, to play a component's partners in the checks.

They are registered as ``double`` of each kind while a component is checked. Nothing of them is meant to train well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas.engine.evaluation import TrainedStage
from ganvas.engine.training import Job, train
from ganvas.kinds import algorithm, data, duel, networks, objectives, optimizer
from ganvas.kinds.options import Use
from ganvas.kinds.records import Critique, Latents, Terms
from ganvas.registry.hooks import hookimpl
from ganvas.spec.build import fork_random

__all__ = ["DOUBLES", "Arena", "Fit", "Plugin", "arena", "images", "stage", "step", "trained", "training"]

NUMBER = 24  # samples of the double of a data set
FEATURES = 12  # width of what heads, classifiers and the losses' own networks are given


def images(number: int, shape: Sequence[int], seed: int = 0) -> Tensor:
    """Smooth pictures (number, C, H, W) in [-1, 1], each another."""
    rng = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    y, x = torch.linspace(-1, 1, height).view(-1, 1), torch.linspace(-1, 1, width).view(1, -1)
    a, b, c, d = (2 * torch.rand(4, number, channels, 1, 1, generator=rng) - 1).unbind(0)
    return (a * x + b * y + c * (3 * x * y).cos() + 0.5 * d).clamp(-1, 1)


class Dataset(data.Dataset):
    """Smooth pictures with labels and attributes; as many others are held out."""

    seed = 0

    def __init__(
        self,
        *,
        shape: Annotated[tuple[int, int, int], Field(description="(C, H, W)")] = (1, 28, 28),
        classes: Annotated[int, Field(ge=1, description="how many labels")] = 5,
    ) -> None:
        self.shape = shape
        self.number = classes

    @property
    def fields(self) -> Mapping[str, data.DataField]:
        return {
            "images": data.DataField(self.shape),
            "labels": data.DataField((), "int64", (0, self.number - 1)),
            "attributes": data.DataField((3,), "uint8", (0, 1)),
        }

    @property
    def classes(self) -> Sequence[str]:
        return [f"class {index}" for index in range(self.number)]

    @property
    def attributes(self) -> Sequence[str]:
        return ["first", "second", "third"]

    @property
    def fingerprint(self) -> str:
        return f"double {self.shape} {self.number} {self.seed}"

    def __len__(self) -> int:
        return NUMBER

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self) -> dict[str, Tensor]:
        labels = torch.arange(NUMBER) % self.number
        pictures = images(NUMBER, self.shape, self.seed) * 0.5 + (labels / self.number - 0.5).view(-1, 1, 1, 1)
        bits = torch.stack([torch.arange(NUMBER) >> bit & 1 for bit in range(3)], dim=1)
        return {
            "images": ((pictures + 1) * 127.5).round().to(torch.uint8),
            "labels": labels,
            "attributes": bits.to(torch.uint8),
        }

    def held_out(self) -> data.Dataset | None:
        return None if isinstance(self, HeldOut) else HeldOut(shape=self.shape, classes=self.number)


class HeldOut(Dataset):
    """What the double of a data set holds out."""

    seed = 1


class Generator(networks.Generator):
    """A dense layer, conditional where there is a condition, on one style: latents and condition side by side."""

    conditional = True

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.latents = Latents({"z": 6})
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.layer = nn.Linear(6 + (math.prod(condition) if condition else 0), math.prod(shape))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.synthesize(self.styles(latents, condition))

    def styles(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is not None and self.conditional:
            latents = torch.cat([latents, condition.flatten(1)], dim=1)
        return latents[:, None]

    def synthesize(self, styles: Tensor) -> Tensor:
        return torch.tanh(self.layer(styles[:, 0])).unflatten(1, self.sample_shape)


class Translator(networks.Translator):
    """One convolution."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(shape[0], shape[0], 3, padding=1)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layer(images))


class Head(networks.Head):
    """One linear score."""

    def __init__(self, features: int, condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(self.score(features.movedim(1, -1)).squeeze(-1))


class Discriminator(networks.Discriminator):
    """Two strided convolutions and a head on their map: scores per patch."""

    layers = ("first", "second")

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        head: Annotated[Use[networks.Head], Field(description="features to scores")] = "ganvas.testing/double",  # type: ignore[assignment]
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape[0], 6, 3, stride=2, padding=1)
        self.second = nn.Conv2d(6, FEATURES, 3, stride=2, padding=1)
        self.head = head(FEATURES, condition)
        self.conditional = self.head.conditional

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        first = torch.nn.functional.softplus(self.first(samples))
        features = torch.nn.functional.softplus(self.second(first))
        critique = self.head(features, condition)
        # Whatever they are called: a loss may ask for layers of other names.
        maps = itertools.cycle((first, features))
        critique.features, critique.layers = features, dict(zip(self.layers, maps, strict=False))
        return critique


class Backbone(networks.Backbone):
    """A convolution, averaged over the image."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.features, self.layers = FEATURES, ("layer",)
        self.layer = nn.Conv2d(shape[0], FEATURES, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.feature_maps(images)["layer"].mean((2, 3))

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {name: torch.nn.functional.softplus(self.layer(images)) for name in self.named_layers(layers)}


class Encoder(networks.Encoder):
    """The features of two views are pulled together."""

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("ganvas.testing/double", "ganvas.testing/double")

    def __init__(self, backbone: networks.Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features

    def objective(self, *views: Tensor) -> Terms:
        first, second = (self.backbone(view) for view in views)
        return {"distance": (first - second).square().mean()}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


class Classifier(networks.Classifier):
    """A linear layer of the flat input."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


class Extractor(networks.Extractor):
    """Means over a 2x2 grid of the image, and their squares."""

    name = "double"
    features = 8

    def forward(self, images: Tensor) -> Tensor:
        cells = torch.nn.functional.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), 2).flatten(1)
        return torch.cat([cells, cells.square()], dim=1)


class Condition(data.Condition):
    """The labels as one-hot vectors."""

    def __init__(self, data: data.Data) -> None:
        super().__init__()
        self.names = list(data.classes)
        self.number = len(self.names)
        self.shape = (self.number,)
        self.needs = frozenset({"labels"})
        self.segments = (one_hot(self.number),)

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        return nn.functional.one_hot(batch["labels"], self.number).float()

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        drawn = torch.randint(self.number, (number,), generator=rng, device=rng.device)
        return nn.functional.one_hot(drawn, self.number).float()

    def parse(self, value: Any) -> Tensor:
        return torch.eye(self.number)[int(value)]


def one_hot(size: int) -> data.Segment:
    return data.Segment("one-hot", size)


class Codes(Condition):
    """Classes that no real sample has."""

    observed = False

    def __init__(self, data: data.Data) -> None:
        super().__init__(data)
        self.needs = frozenset()

    def of(self, batch: Mapping[str, Tensor]) -> None:  # type: ignore[override]
        return None


class NoCondition(data.Condition):
    """Nothing."""

    def __init__(self, data: data.Data) -> None:
        super().__init__()

    def of(self, batch: Mapping[str, Tensor]) -> None:
        return None

    def sample(self, number: int, rng: torch.Generator) -> None:
        return None


class Loss(objectives.Loss):
    """The non-saturating loss."""

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return nn.functional.softplus(-real.scores).mean() + nn.functional.softplus(fake.scores).mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return nn.functional.softplus(-fake.scores).mean()


class Augmentation(objectives.Augmentation):
    """A change of brightness."""

    differentiable = True

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return images + 0.1 * torch.randn(len(images), 1, 1, 1, generator=rng, device=images.device)


class Regularizer(objectives.Regularizer):
    """The mean square of the scores."""

    def penalty(self, match: duel.Match) -> Tensor:
        return match.critique("real").scores.square().mean()


class Optimizer(optimizer.Optimizer):
    """Adam."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=1e-2, betas=(0.5, 0.9))


class Arena(algorithm.Algorithm):
    """One duel between given parts."""

    gives = {"generator": networks.Generator, "discriminator": networks.Discriminator}

    def __init__(self, given: data.Data, duel: duel.Duel, condition: data.Condition) -> None:
        super().__init__(given)
        self.duel = duel
        self.condition = condition

    def networks(self) -> dict[str, nn.Module]:
        return self.duel.networks()

    def updates(self) -> list[algorithm.Update | tuple[algorithm.Update, ...]]:
        return [*self.duel.updates(self.match)]

    def match(self, side: objectives.Side, step: algorithm.Step) -> duel.Match:
        real = step.batch["images"]
        generator: Any = self.duel.generator
        latents = generator.latents.sample(len(real), step.rng)
        judged = self.condition.of(step.batch)
        asked = judged if self.duel.paired else self.condition.sample(len(real), step.rng)
        return duel.Match(
            side,
            step,
            self.duel,
            real=real,
            fake=lambda: generator(latents, asked),
            latents=latents,
            condition_real=judged,
            condition_fake=asked,
        )

    def generate(self, latents: Tensor, condition: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        generator: Any = self.duel.generator
        made = generator.truncated(latents, condition, truncation)
        return getattr(made, "samples", made)

    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        rng = rng if rng is not None else torch.Generator(self.data.device)
        return self.generate(*self.draw(number, condition, rng))


class Fit(algorithm.Algorithm):
    """Moves one network's outputs towards a constant: the plainest training there is.

    Args:
        outputs: step -> named tensors that the network made.
    """

    def __init__(self, given: data.Data, network: nn.Module, outputs: Any) -> None:
        super().__init__(given)
        self.network = network
        self.outputs = outputs

    def networks(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def updates(self) -> list[algorithm.Update | tuple[algorithm.Update, ...]]:
        return [algorithm.Update("network", trains=["network"], objective=self.terms)]

    def terms(self, step: algorithm.Step) -> Terms:
        made = self.outputs(self.network, step)
        return {name: (value.float() - 0.5).square().mean() for name, value in made.items() if value.requires_grad}


class Encoding(algorithm.Algorithm):
    """Trains the double of an encoder on two views of each image."""

    gives = {"encoder": networks.Encoder}

    def __init__(self, given: data.Data) -> None:
        super().__init__(given)
        self.encoder = Encoder(Backbone(given.shape))
        self.augmentation = Augmentation()

    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def updates(self) -> list[algorithm.Update | tuple[algorithm.Update, ...]]:
        return [algorithm.Update("encoder", trains=["encoder"], objective=self.terms)]

    def terms(self, step: algorithm.Step) -> Terms:
        return self.encoder.objective(*self.views(step.batch["images"], step.rng))

    def views(self, images: Tensor, rng: torch.Generator) -> list[Tensor]:
        return [self.augmentation(images, "view", rng) for _ in range(2)]

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder.encode(images)


def training(
    made: algorithm.Algorithm, steps: int, folder: Path, optimizers: Any = None, batch_size: int = 4, **options: Any
) -> algorithm.Algorithm:
    """Trains with the engine to ``steps`` iterations, going on from what the folder holds."""
    names = {update.optimizer_name for update in algorithm.flat(made.updates())}
    device = made.data.device
    networks.place(made, device)
    job = Job(
        name="conformance",
        algorithm=made,
        data=made.data,
        optimizers={name: optimizers or Optimizer() for name in names},
        steps=steps,
        batch_size=batch_size,
        seed=0,
        device=device,
        folder=folder,
        **options,
    )
    train(job)
    return made


def step(given: data.Data, number: int, index: int = 0) -> algorithm.Step:
    """An engine's step with a batch of the first samples."""
    made = algorithm.Step(
        index=index,
        size=number,
        steps=100,
        device=given.device,
        rng=torch.Generator(given.device).manual_seed(index),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )
    made.batch = next(given.batches(number))
    return made


def arena(
    given: data.Data, condition: tuple[int, ...] | None, *, paired: bool = False, observed: bool = True, **parts: Any
) -> Arena:
    """A duel of doubles, but for the parts that are given; on the labels, where there is a condition.

    ``paired``: fakes are made from the conditions of the reals. ``observed``: reals have conditions.
    """
    shape = given.shape
    judged = condition if observed else None
    asked = NoCondition(given) if condition is None else Condition(given) if observed else Codes(given)
    made = duel.Duel(
        parts.get("discriminator") or Discriminator(shape, judged, head=Head),  # type: ignore[arg-type]
        parts.get("loss") or Loss(),
        parts.get("augmentation"),
        parts.get("regularizers", ()),
        parts.get("generator") or Generator(shape, condition),
        paired=paired,
        segments=asked.segments,
        observed=asked.observed,
    )
    return Arena(given, made, asked)


def stage(given: data.Data, condition: tuple[int, ...] | None) -> TrainedStage:
    """A stage that trained an arena of doubles (untrained, in truth), in eval mode."""
    with fork_random(0):
        made = arena(given, condition)
    return _stage("arena", made)


def encoding(given: data.Data) -> TrainedStage:
    """A stage that trained an encoder (untrained, in truth), in eval mode."""
    with fork_random(0):
        made = Encoding(given)
    return _stage("encoding", made)


def _stage(name: str, made: algorithm.Algorithm) -> TrainedStage:
    made.component_name = name  # type: ignore[assignment]
    networks.place(made, made.data.device)
    return TrainedStage(name, made.eval(), made.data, made.data.device, seed=0)


def trained(kind: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    """What an earlier stage may have trained, by kind."""
    makers: dict[str, Any] = {
        "encoder": lambda: Encoder(Backbone(shape)),
        "classifier": lambda: Classifier(shape, classes),
        "generator": lambda: Generator(shape, None),
        "discriminator": lambda: Discriminator(shape, None, head=Head),  # type: ignore[arg-type]
        "translator": lambda: Translator(shape, None),
        "backbone": lambda: Backbone(shape),
    }
    if kind not in makers:
        raise ValueError(f"there is no double of a trained {kind}; give a finished stage's folder as the option")
    return makers[kind]()


DOUBLES: dict[str, type] = {
    "dataset": Dataset,
    "augmentation": Augmentation,
    "backbone": Backbone,
    "encoder": Encoder,
    "condition": Condition,
    "classifier": Classifier,
    "extractor": Extractor,
    "generator": Generator,
    "translator": Translator,
    "head": Head,
    "discriminator": Discriminator,
    "loss": Loss,
    "regularizer": Regularizer,
    "optimizer": Optimizer,
}


class Plugin:
    """Offers components under the name ``ganvas.testing``."""

    def __init__(self, offered: Mapping[str, Mapping[str, Any]]) -> None:
        self.offered = offered

    @hookimpl
    def ganvas_components(self) -> Mapping[str, Mapping[str, Any]]:
        return self.offered
