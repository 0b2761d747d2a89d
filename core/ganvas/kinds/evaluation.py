"""Contracts of what looks at a trained stage: metric and tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from ganvas.kinds.data import Data

if TYPE_CHECKING:
    from ganvas.kinds.algorithm import Algorithm

__all__ = ["Measurement", "Metric", "Stage", "Tracker"]


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


class Stage(Protocol):
    """A stage as a metric sees it: trained, with its averaged weights in place, everything in eval mode."""

    name: str
    algorithm: Algorithm
    data: Data
    device: torch.device
    seed: int

    def sample(self, number: int, condition: Any = None, seed: int | None = None) -> Tensor:
        """(number, C, H, W) in [-1, 1]; ``condition`` is one value for all, rows (number, K), or None to draw them."""
        ...

    def fakes(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Samples and the conditions they were made from, drawn once per evaluation and shared by all metrics."""
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
        for method in sorted(self.needs):
            if not hasattr(algorithm, method):
                name, other = (getattr(part, "component_name", type(part).__name__) for part in (self, algorithm))
                raise ValueError(f"the metric {name!r} needs a stage that can {method}; {other!r} cannot")

    @property
    @abstractmethod
    def protocol(self) -> Mapping[str, Any]:
        """All that the numbers depend on: extractor, counts, split, seed. Two numbers compare only if equal."""

    @abstractmethod
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        """Named numbers: ``fid@inception``, ``precision-recall@inception.precision``."""


class Tracker:
    """Where scalars and images go: a component whose methods are the lifecycle hooks (all optional).

    ``ganvas_stage_started(stage)``, ``ganvas_scalars(stage, index, images, scalars)``,
    ``ganvas_images(stage, index, images, previews)``, ``ganvas_checkpoint_saved(stage, index, path)``,
    ``ganvas_stage_finished(stage, metrics)``. ``stage`` is a ``StageRecord``: name, folder, spec as text, layout.
    Decorate them with ``ganvas.hookimpl``.
    """
