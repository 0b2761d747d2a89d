"""Contracts of what looks at a trained stage: metric, sampler and tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from ganvas.kinds.data import Data

if TYPE_CHECKING:
    from ganvas.kinds.algorithm import Algorithm, Preview

__all__ = ["Encoded", "Measurement", "Metric", "Sampler", "Stage", "Tracker"]

T = TypeVar("T")


@dataclass(frozen=True)
class Measurement:
    """One number of a metric.

    Attributes:
        value: the number.
        better: which way is better.
        deviation: standard deviation over repetitions or subsets; None where there is only one.
    """

    value: float
    better: Literal["lower", "higher"]
    deviation: float | None = None

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Encoded:
    """What a stage's encoder makes of a data set.

    Attributes:
        features: (N, F) in float32.
        labels: (N,), or None where the data have none.
        index: (N,), which samples of the data these are.
    """

    features: Tensor
    labels: Tensor | None
    index: Tensor

    def __getitem__(self, chosen: Tensor) -> Encoded:
        """Some of them, by their place (M,)."""
        chosen = chosen.to(self.features.device)
        labels = None if self.labels is None else self.labels[chosen]
        return Encoded(self.features[chosen], labels, self.index[chosen])


class Stage(Protocol):
    """A stage as metrics and samplers see it: trained, with its averaged weights in place, everything in eval mode.

    Attributes:
        sampler: what draws wherever ``sample`` is given none; None for the stage itself.
    """

    name: str
    algorithm: Algorithm
    data: Data
    device: torch.device
    seed: int
    sampler: Sampler | None

    def sample(
        self, number: int, condition: Any = None, seed: int | None = None, sampler: Sampler | None = None
    ) -> Tensor:
        """(number, C, H, W) in [-1, 1]; ``condition`` is one value for all, rows (number, K), or None to draw them."""
        ...

    def fakes(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Samples and the conditions they were made from, drawn once per evaluation and shared by all metrics."""
        ...

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once per evaluation and shared by all metrics that ask with the same key."""
        ...

    def encoded(self, number: int | None = None, *, held_out: bool = False) -> Encoded:
        """Features of the stage's data, computed once per evaluation and shared by all metrics.

        Args:
            number: of samples, spread evenly over the data; all of them if none.
            held_out: of ``stage.data.held_out()`` instead.

        Raises:
            ValueError: the stage has no encoder, its features are not finite, or nothing is held out.
        """
        ...


class Metric(ABC):
    """Numbers about a trained stage. Built with ``(data)``.

    Attributes:
        needs: what the stage's algorithm must offer (``{"sample"}``), by method name.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"sample"})

    def __init__(self, data: Data) -> None:
        self.data = data

    def check(self, algorithm: Algorithm) -> None:
        """Raises ``ValueError`` where a stage of this algorithm cannot be measured; called before anything trains."""
        _check_needs("metric", self, algorithm)

    @property
    @abstractmethod
    def protocol(self) -> Mapping[str, Any]:
        """All that the numbers depend on: extractor, counts, split, seed. Two numbers compare only if equal."""

    @abstractmethod
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        """Named numbers: ``fid@inception``, ``precision-recall@inception.precision``."""

    def previews(self) -> dict[str, Preview]:
        """Pictures by name of what was measured last: none, unless the metric has some."""
        return {}


class Sampler(ABC):
    """Better samples out of a trained stage, by truncation or rejection, say. Built with ``(stage)``.

    It draws with what the stage's algorithm offers: ``products()`` (the generator with its ``latents``, the
    discriminator), ``condition``, whose ``sample(number, rng)`` draws rows or gives None where there is none,
    ``draw(number, condition, rng)``, which draws latents and rows as the stage itself does, and
    ``generate(latents, condition, truncation=1.0)``, which makes images (N, C, H, W) of latents (N, D) and rows (N, K)
    or None, as the generator's ``truncated`` does at that strength.

    Attributes:
        needs: what the stage's algorithm must offer (``{"generate"}``), by method name.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"generate"})

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def check(self, algorithm: Algorithm) -> None:
        """Raises ``ValueError`` where a stage of this algorithm cannot be sampled so; called before ``sample``."""
        _check_needs("sampler", self, algorithm)

    def start(self) -> None:  # noqa: B027  (most have nothing to forget)
        """Runs before the first of the calls that draw one set of samples: what the last set left behind is forgotten.

        A running maximum, say, goes on from call to call, and begins anew with each set.
        """

    def report(self) -> str:
        """What is worth knowing of the draws since ``start`` (how many candidates were accepted), in a few words."""
        return ""

    @abstractmethod
    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        """Draws (number, C, H, W) in [-1, 1], without gradients and in eval mode.

        Args:
            number: of samples; a large number comes in several calls.
            condition: rows (number, K), or None to draw them as the stage's prior says.
            rng: on the stage's device; the source of all that is random.
        """

    def draw(self, number: int, condition: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """The latents (number, D) and conditions, rows (number, K) or None, that ``generate`` makes the samples from.

        Where a sampler offers it, one can interpolate between its samples, traverse them and calculate with them.
        """
        raise ValueError(
            f"the sampler {getattr(self, 'component_name', type(self).__name__)!r} does not tell the latents of its "
            "samples (it offers no draw); leave it out"
        )

    def generate(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        """What ``draw`` gives, moved or not -> samples (N, C, H, W) in [-1, 1]; as the stage makes them, by default."""
        algorithm: Any = self.stage.algorithm
        return algorithm.generate(latents, condition)


def _check_needs(kind: str, part: Metric | Sampler, algorithm: Algorithm) -> None:
    for method in sorted(part.needs):
        if not hasattr(algorithm, method):
            name, other = (getattr(one, "component_name", type(one).__name__) for one in (part, algorithm))
            raise ValueError(f"the {kind} {name!r} needs a stage that can {method}; {other!r} cannot")


class Tracker:
    """Where scalars and images go: a component whose methods are the lifecycle hooks (all optional).

    ``ganvas_stage_started(stage)``, ``ganvas_scalars(stage, index, images, scalars)``,
    ``ganvas_images(stage, index, images, previews)``, ``ganvas_checkpoint_saved(stage, index, path)``,
    ``ganvas_stage_finished(stage, metrics)``. ``stage`` is a ``StageRecord``: name, folder, spec as text, layout.
    Decorate them with ``ganvas.hookimpl``.
    """
