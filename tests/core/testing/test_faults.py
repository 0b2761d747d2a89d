"""Faults that authors make, planted: each is caught, by the check that is meant for it, with a message that tells."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar
from unittest import SkipTest

import numpy
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganvas import (
    Algorithm,
    Augmentation,
    Backbone,
    Condition,
    Critique,
    Data,
    DataField,
    Dataset,
    Discriminator,
    Encoder,
    Extractor,
    Generator,
    Head,
    Latents,
    Loss,
    Match,
    Measurement,
    Metric,
    Optimizer,
    Regularizer,
    Sampler,
    Segment,
    Stage,
    Terms,
    Tracker,
    Translator,
    Update,
)
from ganvas.testing import ContractBroken, conformance
from ganvas.testing.suite import Check


class Dense(Generator):
    """A generator without faults."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.sample_shape = tuple(shape)
        self.latents = Latents({"z": 6})
        self.conditional = condition is not None
        self.inputs = 6 + (condition[0] if condition else 0)
        self.layer = nn.Linear(self.inputs, int(numpy.prod(shape)))

    def joined(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        return latents if condition is None else torch.cat([latents, condition], dim=1)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layer(self.joined(latents, condition))).unflatten(1, self.sample_shape)


class IgnoresItsCondition(Dense):
    def joined(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        return latents if condition is None else torch.cat([latents, 0 * condition], dim=1)


class ReadsTheWrongRows(Dense):
    def joined(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        return super().joined(latents, None if condition is None else condition.roll(1, dims=0))


class SaysItIsUnconditional(Dense):
    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.conditional = False


class LeavesTheRange(Dense):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return 3 * super().forward(latents, condition)


class Standardises(Dense):
    """Statistics over the batch, which a batch of one does not have."""

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        made = super().forward(latents, condition)
        return torch.tanh((made - made.mean(0)) / made.std(0))


class HasAnIdleGroup(Dense):
    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.latents = Latents({"z": 6, "style": 2})

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latents[:, :6], condition)


class CannotBeExported(Dense):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        made = super().forward(latents, condition)
        return made if float(latents.sum()) < 1e9 else -made


class SeedsInForward(Dense):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        torch.manual_seed(0)
        return super().forward(latents, condition) * (1 - 0.01 * torch.rand(1, device=latents.device))


class SeedsNumpy(Dense):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        numpy.random.seed(0)
        return super().forward(latents, condition)


class HasDrawsOfItsOwn(Dense):
    draws = random.Random(0)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latents, condition) * self.draws.random()


class ForgetsALayer(Dense):
    """Layers in a list are not registered: they are neither trained nor saved."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.first = [nn.Linear(self.inputs, self.inputs)]

    def joined(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        return self.first[0](super().joined(latents, condition))


class HasAnIdleLayer(Dense):
    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.forgotten = nn.Linear(3, 3)


class MutatesItsOptions(Dense):
    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        widths: Annotated[list[int], Field(description="of layers")] = (8, 16),  # type: ignore[assignment]
    ) -> None:
        super().__init__(shape, condition)
        widths.append(1)


class Judge(Discriminator):
    """A discriminator without faults."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(shape[0], 8, 3, stride=2, padding=1)
        self.score = nn.Linear(8, 1)

    def maps(self, samples: Tensor) -> Tensor:
        return softplus(self.layer(samples))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(self.score(self.maps(samples).mean((2, 3))).squeeze(1))


class NamesOtherLayers(Judge):
    layers = ("convolution",)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        critique = super().forward(samples, condition)
        critique.layers = {"maps": self.maps(samples)}
        return critique


class CarriesMeansOnly(NamesOtherLayers):
    layers = ("maps",)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        critique = super().forward(samples, condition)
        critique.layers = {name: value.mean(0) for name, value in critique.layers.items()}
        return critique


class ChangesTheBatch(Judge):
    def maps(self, samples: Tensor) -> Tensor:
        return super().maps(samples.clamp_(-0.5, 0.5) if not samples.requires_grad else samples)


class Detaches(Judge):
    def maps(self, samples: Tensor) -> Tensor:
        return super().maps(samples.detach())


class WritesADeviceDown(Judge):
    def maps(self, samples: Tensor) -> Tensor:
        return super().maps(samples + torch.zeros(samples.shape[-1], device="cpu"))


class KeepsATensorOutside(Judge):
    """No buffer: it stays on the CPU, whatever the network moves to."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.offset = torch.ones(8, 1, 1)

    def maps(self, samples: Tensor) -> Tensor:
        return super().maps(samples) * self.offset


class CountsInEval(Judge):
    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.register_buffer("seen", torch.zeros(()))

    def maps(self, samples: Tensor) -> Tensor:
        with torch.no_grad():
            self.seen += len(samples)
        return super().maps(samples)


class IsUnstable(Judge):
    """The variance as a difference of large squares: in bfloat16 nothing of it is left."""

    def maps(self, samples: Tensor) -> Tensor:
        maps = super().maps(samples) + 100
        mean, square = maps.bfloat16().mean((2, 3)), maps.bfloat16().square().mean((2, 3))
        if not torch.is_autocast_enabled(samples.device.type):
            mean, square = maps.mean((2, 3)), maps.square().mean((2, 3))
        return (maps - 100) / (square - mean.square()).sqrt()[..., None, None]


class HidesWhatItLearned(Judge):
    """A moving mean in a plain attribute: gone after a resume."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__(shape, condition)
        self.mean = 0.0

    def maps(self, samples: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + float(samples.detach().mean()) + 1
        return super().maps(samples) * self.mean


class CannotBeDifferentiatedTwice(Judge):
    def maps(self, samples: Tensor) -> Tensor:
        return _Once.apply(super().maps(samples))


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class Softplus(Loss):
    """A loss without faults: the non-saturating one."""

    def discriminator(self, real: Critique, fake: Critique) -> Tensor | Terms:
        return softplus(-real.scores).mean() + softplus(fake.scores).mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor | Terms:
        return softplus(-fake.scores).mean()


class TakesTheLogOfASigmoid(Softplus):
    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return -torch.sigmoid(real.scores).log().mean() - (1 - torch.sigmoid(fake.scores)).log().mean()


class HasTheWrongSign(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return fake.scores.mean()


class DetachesTheFakes(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return softplus(-fake.scores.detach()).mean() + 0 * fake.scores.mean()


class SumsOverPatches(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return (
            softplus(-fake.scores).flatten(1).sum(1).mean() if fake.scores.dim() > 1 else super().generator(fake, real)
        )


class AveragesTheBatchOnly(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return softplus(-fake.scores).mean(0).sum()


class ComparesAll(Softplus):
    """(N, 1) against (N,) is (N, N)."""

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return softplus(fake.scores.flatten() - real.scores).mean()


class GivesAVector(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return softplus(-fake.scores)


class HasAWrongGradient(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return (softplus(-fake.scores) * torch.sigmoid(-fake.scores).detach()).mean()


class CastsDown(Softplus):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return softplus(-fake.scores.float()).mean()


class BroadcastingHead(Head):
    def __init__(self, features: int, condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(self.score(features if features.dim() == 2 else features.mean((2, 3))))


class PoolsTheMap(BroadcastingHead):
    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(super().forward(features).scores.squeeze(1))


class Places(Head):
    """A head without faults, whose classifier learns through its terms alone."""

    def __init__(self, features: int, condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.classifier = nn.Linear(features, condition[0]) if condition else None

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(self.score(features.movedim(1, -1)).squeeze(-1))

    def terms(self, match: Match) -> Terms:
        if self.classifier is None:
            return {}
        real = match.side == "discriminator"
        critique = match.critique("real" if real else "fake")
        return {"classes": self.error(critique.features, match.condition_real if real else match.condition_fake)}

    def error(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return nn.functional.cross_entropy(self.classifier(features.mean((2, 3))).float(), condition)


class ClassifiesForTheGeneratorAlone(Places):
    """The classifier is trained with the discriminator, and there it has no part."""

    def terms(self, match: Match) -> Terms:
        return super().terms(match) if match.side == "generator" else {}


class TeachesNobody(Places):
    def error(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return super().error(features, condition).detach()


class NeedsASecondSample(Places):
    def error(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return super().error(features, condition) + 0 * features.std(0).mean()


class AddsAVector(Places):
    def error(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return super().error(features, condition).expand(3)


class ShrinksTheImage(Translator):
    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(shape[0], shape[0], 3)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.tanh(self.layer(images))


class GivesAllItsMaps(Backbone):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.features, self.layers = 3, ("one", "two")
        self.layer = nn.Conv2d(shape[0], 3, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.feature_maps(images)["two"].mean((2, 3))

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {"one": self.layer(images), "two": softplus(self.layer(images))}


class TakesAnyLayer(GivesAllItsMaps):
    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {name: map for name, map in super().feature_maps(images).items() if layers is None or name in layers}


class NamesOtherMaps(GivesAllItsMaps):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.layers = ("first",)


class TrainsNothing(Encoder):
    views: ClassVar[tuple[str, ...]] = ("none", "none")

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features  # type: ignore[assignment]

    def objective(self, *views: Tensor) -> Terms:
        first, second = (self.backbone(view) for view in views)
        return {"distance": (first.detach() - second.detach()).square().mean()}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


class NamesNothing(Extractor):
    name = "pixels"
    features = 4

    @property
    def protocol(self) -> dict[str, Any]:
        return {"made": object()}

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 2).flatten(1)


class PenalisesNothing(Regularizer):
    def penalty(self, match: Match) -> Tensor:
        return match.critique("real").scores.detach().square().mean()


class PenalisesEachSample(Regularizer):
    def penalty(self, match: Match) -> Tensor:
        return match.critique("real").scores.square()


class JoinsNobody(Regularizer):
    joins = frozenset({"critic"})  # type: ignore[assignment]

    def penalty(self, match: Match) -> Tensor:
        return match.critique("real").scores.square().mean()


class DrawsForItself(Augmentation):
    draws = numpy.random.default_rng(0)

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return images + float(self.draws.uniform(-0.1, 0.1))


class Rounds(Augmentation):
    differentiable = True

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return (images * 127.5).round() / 127.5


class AddsInPlace(Augmentation):
    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return images.add_(0.1)


class Squares(Dataset):
    """A data set without faults."""

    fields: ClassVar = {"images": DataField((1, 4, 4)), "labels": DataField((), "int64", (0, 1))}
    classes = ("dark", "bright")

    @property
    def fingerprint(self) -> str:
        return "squares"

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "images": torch.full((1, 4, 4), 100 * (index % 2), dtype=torch.uint8),
            "labels": torch.tensor(index % 2),
        }


class GivesFloats(Squares):
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return super().__getitem__(index) | {"images": torch.zeros(1, 4, 4)}


class LeavesAFieldOut(Squares):
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"images": super().__getitem__(index)["images"]}


class ShufflesItsTensors(Squares):
    def tensors(self) -> dict[str, Tensor]:
        samples = [self[index] for index in reversed(range(6))]
        return {name: torch.stack([sample[name] for sample in samples]) for name in self.fields}


class ChangesItsFingerprint(Squares):
    asked = 0

    @property
    def fingerprint(self) -> str:
        type(self).asked += 1
        return str(self.asked)


class NamesTooFewClasses(Squares):
    classes = ("dark",)


class CannotBeSent(Squares):
    def __init__(self) -> None:
        self.key = lambda index: index


class Brightness(Condition):
    """A condition without faults: is an image brighter than the data's mean?"""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.shape = (2,)
        self.names = ("dark", "bright")
        self.segments = (Segment("one-hot", 2),)
        self.register_buffer("mean", torch.zeros(()))

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        self.mean.fill_(torch.cat([batch["images"] for batch in data.batches()]).mean())

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        bright = batch["images"].mean((1, 2, 3)) > self.mean
        return nn.functional.one_hot(bright.long(), 2).float()

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        drawn = torch.randint(2, (number,), generator=rng, device=rng.device)
        return nn.functional.one_hot(drawn, 2).float()

    def parse(self, value: Any) -> Tensor:
        if value not in (0, 1, *self.names):
            raise ValueError(f"there is no {value!r}; choose from {', '.join(self.names)}")
        return torch.eye(2)[value if value in (0, 1) else self.names.index(value)]


class FitsAnAttribute(Brightness):
    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.threshold = 2.0

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        self.threshold = float(torch.cat([batch["images"] for batch in data.batches()]).mean())

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        return nn.functional.one_hot((batch["images"].mean((1, 2, 3)) > self.threshold).long(), 2).float()


class DrawsGlobally(Brightness):
    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        return nn.functional.one_hot(torch.randint(2, (number,)), 2).float()


class GivesIntegers(Brightness):
    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        return super().of(batch).long()


class KnowsWhatNobodyKnows(Brightness):
    observed = False


class Codes(Brightness):
    """A condition without faults that no real image has."""

    observed = False

    def of(self, batch: Mapping[str, Tensor]) -> None:
        return None


class TakesAnyWord(Brightness):
    def parse(self, value: Any) -> Tensor:
        return torch.eye(2)[0]


class MeasuresChance(Metric):
    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": 4}

    def measure(self, stage: Stage) -> dict[str, Measurement]:
        return {"chance": Measurement(random.SystemRandom().random(), "lower")}


class TrainsTheStage(Metric):
    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": 4}

    def measure(self, stage: Stage) -> dict[str, Measurement]:
        with torch.no_grad():
            next(stage.algorithm.parameters()).add_(1)
        return {"zero": Measurement(0.0, "lower")}


class DeafTracker(Tracker):
    """It hears nothing."""


class Learned(Softplus):
    """A loss with a critic of features of its own, trained with the discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Linear(12, 1)

    def judged(self, critique: Critique) -> Tensor:
        assert critique.features is not None
        return self.critic(critique.features.flatten(2).mean(2) if critique.features.dim() > 2 else critique.features)

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return super().discriminator(real, fake) + (self.judged(fake) - self.judged(real)).tanh().mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return super().generator(fake, real) - self.judged(fake).tanh().mean()


class ReadsALayer(Softplus):
    """A loss without faults that reads a layer and the moment."""

    layers = ("maps",)

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        assert fake.step is not None
        means = [critique.layers["maps"].flatten(1).mean(1) for critique in (fake, real)]
        return (1 - fake.step.progress) * (means[0].mean() - means[1].mean()).square()


class LearnsOnTheOtherSide(Learned):
    """Its network has a part in the generator's term alone, and is trained with the discriminator."""

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return Softplus.discriminator(self, real, fake)


class Climbs(Optimizer):
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1, maximize=True)


class LeavesANetworkOut(Algorithm):
    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.one, self.two = (nn.Linear(int(numpy.prod(data.shape)), 1) for _ in range(2))

    def networks(self) -> dict[str, nn.Module]:
        return {"one": self.one}

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return [
            Update(
                "one",
                ["one"],
                lambda step: {
                    "x": self.two(self.one(step.batch["images"].flatten(1)).expand(-1, self.two.in_features))
                    .square()
                    .mean()
                },
            )
        ]


class TrainsAStranger(LeavesANetworkOut):
    def updates(self) -> list[Update | tuple[Update, ...]]:
        return [Update("one", ["other"], lambda step: {})]


class CountsItsLooks(LeavesANetworkOut):
    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.register_buffer("looks", torch.zeros(()))

    def matches(self, step: Any) -> dict[str, Match]:
        self.looks += 1
        return {}


# class -> the check that has to catch it, and what its message has to say.
class DrawsTwice(Sampler):
    """A sampler whose samples are not made of what it says it draws."""

    def draw(self, number: int, condition: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        return self.stage.algorithm.draw(number, condition, rng)

    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        self.draw(number, condition, rng)
        return self.stage.algorithm.generate(*self.draw(number, condition, rng))


FAULTS: dict[type, tuple[str, str]] = {
    DrawsTwice: ("samples_are_made_of_what_is_drawn", r"they differ by \d"),
    IgnoresItsCondition: (
        "uses_its_condition",
        "conditional is True, but the samples are the same under every condition",
    ),
    ReadsTheWrongRows: ("uses_its_condition", "a sample depends on the conditions of the others, not on its own"),
    SaysItIsUnconditional: ("uses_its_condition", "conditional is False, but the samples differ"),
    LeavesTheRange: ("gives_what_its_contract_says", r"samples lie in \[-1, 1\]"),
    Standardises: ("takes_a_batch_of_one", "samples has values that are infinite or no number"),
    HasAnIdleGroup: ("uses_all_its_latents", "the samples are the same whatever 'style' is"),
    CannotBeExported: ("can_be_exported", "Python that depends on values"),
    SeedsInForward: ("leaves_the_seeds_alone", "torch's global generator stands at the same place"),
    SeedsNumpy: ("leaves_the_seeds_alone", "numpy's global generator stands at the same place"),
    HasDrawsOfItsOwn: ("the_same_seed_gives_the_same", "two calls under one seed differ by up to"),
    ForgetsALayer: ("its_state_says_everything", "other samples in eval mode; outside the state are first"),
    HasAnIdleLayer: ("gradients_reach_everything", "no gradient reaches forgotten.weight, forgotten.bias"),
    MutatesItsOptions: ("leaves_its_options_alone", r"an option was \[8, 16\] and became \[8, 16, 1\]"),
    NamesOtherLayers: ("carries_the_layers_it_names", "its critiques carry maps, `layers` names convolution"),
    CarriesMeansOnly: (
        "carries_the_layers_it_names",
        r"the layer maps has the shape \(8, 14, 14\); \(4, F, \*S\) was to come",
    ),
    ChangesTheBatch: ("leaves_its_inputs_alone", "the samples are changed in place"),
    Detaches: ("gradients_reach_everything", "no gradient reaches the samples"),
    WritesADeviceDown: (
        "follows_its_inputs_to_their_device",
        r"on device cpu is not|meets a tensor \(28,\) on the cpu",
    ),
    KeepsATensorOutside: ("follows_its_inputs_to_their_device", r"on device cpu is not|meets a tensor \(8, 1, 1\)"),
    CountsInEval: ("eval_changes_nothing", "seen changed in eval mode"),
    IsUnstable: ("stands_bf16", "the scores are infinite or no number|differ from those of float32"),
    HidesWhatItLearned: ("trains_and_resumes", "a resumed training ends with another network"),
    CannotBeDifferentiatedTwice: ("gradients_have_gradients", "once_differentiable"),
    TakesTheLogOfASigmoid: ("finite_on_extreme_scores", r"discriminator\(\) is inf for real scores of"),
    HasTheWrongSign: ("gradients_have_the_right_sign", r"descending generator\(\) lowers fake scores"),
    DetachesTheFakes: ("gradients_have_the_right_sign", r"generator\(\) has no gradient at the fakes"),
    SumsOverPatches: ("patches_are_averaged", r"generator\(\) is .* for the same as \(N, 3, 5\)"),
    AveragesTheBatchOnly: ("patches_are_averaged", r"generator\(\) is .* for the same as \(N, 3, 5\)"),
    ComparesAll: ("a_column_is_a_row", r"discriminator\(\) is .* for \(N,\), .* for \(N, 1\)"),
    GivesAVector: ("takes_a_batch_of_one", r"a tensor of shape \(1,\) for 'adversarial'; a scalar tensor was to come"),
    HasAWrongGradient: ("gradients_are_right", r"generator\(\): Jacobian mismatch"),
    CastsDown: ("gradients_are_right", r"generator\(\) is torch.float32 for float64 scores"),
    LearnsOnTheOtherSide: (
        "its_own_network_learns",
        r"in discriminator\(\) no gradient reaches critic.weight",
    ),
    BroadcastingHead: ("takes_flat_features", r"scores of shape \(4, 1\) for features \(4, 12\); \(4,\) was to come"),
    PoolsTheMap: (
        "gives_what_its_contract_says",
        r"scores of shape \(4,\) for features \(4, 12, 4, 6\); \(4, 4, 6\) was to come",
    ),
    ClassifiesForTheGeneratorAlone: (
        "gradients_reach_everything",
        "no gradient reaches classifier.weight, classifier.bias",
    ),
    TeachesNobody: ("its_own_terms_teach", "classes has no gradient at the discriminator, in whose update it is"),
    NeedsASecondSample: ("its_own_terms_teach", "classes is nan on the discriminator's side for one sample"),
    AddsAVector: (
        "its_own_terms_teach",
        r"classes is of shape \(3,\) on the discriminator's side; a scalar tensor",
    ),
    ShrinksTheImage: ("gives_what_its_contract_says", r"images of shape \(4, 1, 26, 26\), where \(4, 1, 28, 28\)"),
    GivesAllItsMaps: ("maps_can_be_chosen", "maps named one, two when one was asked for"),
    TakesAnyLayer: ("maps_can_be_chosen", "a layer that does not exist is asked for, and no ValueError is raised"),
    NamesOtherMaps: ("maps_go_from_fine_to_coarse", "maps named one, two, while layers says first"),
    TrainsNothing: ("gradients_reach_everything", "nothing that comes out depends on anything by a gradient"),
    NamesNothing: ("measures_any_image", "Object of type object is not JSON serializable"),
    PenalisesNothing: (
        "does_something_on_the_sides_it_joins",
        "no gradient at the discriminator, whose update it joins",
    ),
    PenalisesEachSample: ("does_something_on_the_sides_it_joins", "a scalar tensor was to come"),
    JoinsNobody: ("does_something_on_the_sides_it_joins", r"joins is \{'critic'\}"),
    DrawsForItself: ("the_same_seed_gives_the_same", "two calls under one seed differ"),
    Rounds: ("gradients_pass", "the gradient at the images is zero"),
    AddsInPlace: ("leaves_its_inputs_alone", "the images are changed in place"),
    GivesFloats: (
        "samples_are_what_fields_says",
        r"images of sample 0 is torch.float32 \(1, 4, 4\), fields says uint8",
    ),
    LeavesAFieldOut: ("samples_are_what_fields_says", r"sample 0 has \['images'\], fields says \['images', 'labels'\]"),
    ShufflesItsTensors: ("tensors_are_the_samples", r"images of sample 0 is another in tensors\(\)"),
    ChangesItsFingerprint: ("its_fingerprint_stays", "it is .* once and .* then"),
    NamesTooFewClasses: ("its_classes_are_named", "a label is 1, but there are 1 classes"),
    CannotBeSent: ("workers_can_read_it", "pickle"),
    FitsAnAttribute: ("its_state_says_everything", r"of\(batch\) is another"),
    DrawsGlobally: ("draws_come_from_its_rng", "sample draws from torch's default generator"),
    KnowsWhatNobodyKnows: ("rows_have_its_shape", r"observed is False, but of\(batch\) gives a tensor"),
    GivesIntegers: ("rows_have_its_shape", r"of\(batch\) is torch.int64 \(8, 2\); float \(8, 2\) was to come"),
    TakesAnyWord: ("words_become_rows", "an unknown name is taken"),
    MeasuresChance: ("measures_the_same_again", "chance is .* once and"),
    TrainsTheStage: ("measuring_changes_nothing", "duel.generator.layer.weight changed"),
    DeafTracker: ("it_has_hooks", "it has no hook at all"),
    Climbs: ("it_lowers_a_loss", "the loss went from .* in 30 steps"),
    LeavesANetworkOut: ("its_updates_fit_its_networks", "two.weight, two.bias belong to no network of networks"),
    CountsItsLooks: ("looking_changes_nothing", "looks changed"),
    TrainsAStranger: ("its_updates_fit_its_networks", "trains 'other', but the networks are one"),
}


def failures(component: type, only: str | None = None) -> dict[str, str]:
    """Check -> message, of every check that the component fails."""
    found = {}
    for check in conformance(component):
        if only in (None, check.function.__name__):
            try:
                check()
            except ContractBroken as broken:
                found.setdefault(check.function.__name__, str(broken))
            except SkipTest:
                pass
    return found


@pytest.mark.parametrize("component", FAULTS, ids=lambda component: component.__name__)
def test_a_planted_fault_is_caught(component: type) -> None:
    name, said = FAULTS[component]
    message = failures(component, only=name)[name]
    assert re.search(said, message), message
    lines = message.splitlines()
    assert re.fullmatch(r"\w+/ganvas\.testing/[\w-]+ breaks its contract \(.*\)", lines[0])
    assert lines[1].startswith("  the contract asks: ")
    assert lines[2].startswith("  what came: ")
    where = re.fullmatch(r"  where to look: (.*):(\d+) \w+\.\w+: .*", lines[3])
    assert where, lines[3]
    assert Path(where[1]).is_file()


@pytest.mark.parametrize(
    "component",
    [Dense, Judge, Softplus, Learned, ReadsALayer, Places, Squares, Brightness, Codes],
    ids=lambda c: c.__name__,
)
def test_what_has_no_fault_passes(component: type) -> None:
    assert failures(component) == {}


@pytest.mark.parametrize(
    "component",
    [ChangesTheBatch, CountsInEval, HasTheWrongSign, WritesADeviceDown, PenalisesNothing, TakesAnyWord],
    ids=lambda component: component.__name__,
)
def test_a_fault_is_found_by_its_check_alone(component: type) -> None:
    """The message of another check would send the author to the wrong place."""
    assert list(failures(component)) == [FAULTS[component][0]]


def test_checks_have_names_that_pytest_shows() -> None:
    checks = conformance(Dense)
    assert all(isinstance(check, Check) for check in checks)
    names = [check.__name__ for check in checks]
    assert len(set(names)) == len(names)
    assert "gives_what_its_contract_says-28x28-grey" in names
    assert "gives_what_its_contract_says-32x48-RGB-conditional" in names
    assert str(checks[0]) == f"generator/ganvas.testing/dense: {names[0]}"
