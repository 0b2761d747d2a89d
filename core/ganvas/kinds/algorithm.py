"""The contract of a stage's training: ``Algorithm``, its ``Update``s, and the ``Step`` that an objective receives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ganvas.kinds.data import Data
from ganvas.kinds.options import Scheduled
from ganvas.kinds.records import Terms

if TYPE_CHECKING:
    from ganvas.kinds.evaluation import Stage

__all__ = ["Algorithm", "Embedding", "Preview", "Step", "Update", "flat", "grouped"]


class Step:
    """What an objective may know about the moment it runs in.

    Attributes:
        index: iterations done before this one.
        repetition: which run of a repeated update this is.
        batch: named tensors; images are float (N, C, H, W) in [-1, 1], ``index`` says which samples they are.
        size: samples per batch.
        shared: a dict that lives for one iteration (pooled fakes, a forward that two updates use).
        rng: a generator on the training device, seeded anew before each objective.
        device: where training runs.
        logging: whether scalars are read after this iteration; what is dear to compute is logged only then.
    """

    def __init__(
        self,
        *,
        index: int,
        size: int,
        steps: int,
        device: torch.device,
        rng: torch.Generator,
        draw: Callable[[str | None, int | None], dict[str, Tensor]],
        note_length: Callable[[], None],
        logging: bool = False,
    ) -> None:
        self.index = index
        self.repetition = 0
        self.size = size
        self.device = device
        self.logging = logging
        self.rng = rng
        self.batch: dict[str, Tensor] = {}
        self.shared: dict[str, Any] = {}
        self.logged: dict[str, Tensor] = {}
        self._steps = steps
        self._draw = draw
        self._note_length = note_length

    @property
    def images(self) -> int:
        """Images seen before this iteration."""
        return self.index * self.size

    @property
    def progress(self) -> float:
        """Share of the stage's steps done, in [0, 1). A stage that reads it depends on its length."""
        self._note_length()
        return self.index / self._steps

    def draw(self, source: str | None = None, size: int | None = None) -> dict[str, Tensor]:
        """Another batch, from a named source of the dataset; each source has its own position."""
        return self._draw(source, size)

    def log(self, name: str, value: Tensor | float) -> None:
        """Logs a scalar; a tensor is read only at the next log point, so nothing waits for the device."""
        self.logged[name] = torch.tensor(float(value)) if isinstance(value, int | float) else value.detach()


@dataclass
class Update:
    """One kind of optimizer step.

    Attributes:
        name: names the update in logs and (unless ``optimizer`` says otherwise) its optimizer.
        trains: names of the networks whose parameters it moves; all others are frozen while it runs.
        objective: step -> named, weighted scalars; the engine sums and backpropagates them.
        optimizer: name of the optimizer, where updates share one; the name of the update otherwise.
        every: runs in every n-th iteration.
        repeat: runs per iteration; may change while training.
        batch: which batch each run sees. ``shared``: the iteration's batch first, and a fresh one in each
            repetition; ``fresh``: always one of its own; ``same``: the iteration's batch in every repetition.
        after: runs after each optimizer step, without gradients.
    """

    name: str
    trains: Sequence[str]
    objective: Callable[[Step], Terms]
    optimizer: str | None = None
    every: int = 1
    repeat: int | Scheduled = 1
    batch: Literal["shared", "fresh", "same"] | str = "shared"
    after: Callable[[Step], None] | None = None

    @property
    def optimizer_name(self) -> str:
        return self.optimizer or self.name


def grouped(updates: Iterable[Update | tuple[Update, ...]]) -> list[tuple[Update, ...]]:
    """An algorithm's updates as the tuples of those that run together; most are alone."""
    return [update if isinstance(update, tuple) else (update,) for update in updates]


def flat(updates: Iterable[Update | tuple[Update, ...]]) -> list[Update]:
    """An algorithm's updates one by one, in order, whatever runs together."""
    return [update for group in grouped(updates) for update in group]


@dataclass
class Embedding:
    """Samples as points of a feature space, for trackers that show such a space themselves.

    Attributes:
        features: (N, F).
        images: (N, C, H, W) in [-1, 1], the samples.
        labels: the name of each sample's class, or None.
    """

    features: Tensor
    images: Tensor
    labels: Sequence[str] | None = None


@dataclass
class Preview:
    """A picture of what a stage does now.

    Attributes:
        images: (N, C, H, W) in [-1, 1].
        columns: pictures per row.
        embedding: the points that it is a picture of, or None.
    """

    images: Tensor
    columns: int = field(default=8)
    embedding: Embedding | None = None


class Algorithm(nn.Module):
    """A stage's training: the only kind that knows several networks at once. Built with ``(data)``.

    Its file reads like the paper's algorithm box; gradients, optimizers, precision, averaging, checkpoints and logs
    are the engine's.

    Attributes:
        gives: products that later stages may ask for, by name and kind: ``{"encoder": Encoder}``.
        needs: fields that the dataset must have.
        optimizers: what each optimizer is unless the spec says otherwise, as it would stand there.
        averaged: the networks that ``ema`` averages unless the spec names others.
    """

    gives: ClassVar[Mapping[str, type]] = {}
    optimizers: ClassVar[Mapping[str, Any] | str] = {"use": "adam", "lr": 2e-4, "betas": [0.5, 0.999]}
    averaged: ClassVar[Sequence[str]] = ()

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.data = data

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"images"})

    @classmethod
    def defaults(cls, chosen: Mapping[str, type]) -> Mapping[str, Any]:
        """Defaults that depend on other options: option -> value as in a spec, used where the option is left out.

        Args:
            chosen: the classes of the options that are components.
        """
        return {}

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Every network that some update trains, by name."""

    @abstractmethod
    def updates(self) -> list[Update | tuple[Update, ...]]:
        """The updates of one iteration, in order. A tuple is simultaneous: all gradients before any step."""

    def products(self) -> dict[str, nn.Module]:
        """What ``gives`` promises, by name."""
        networks = self.networks()
        return {name: networks[name] for name in self.gives}

    def previews(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        """Pictures by name, drawn with the averaged weights; ``batch`` and ``rng`` are the same each time."""
        return {}

    def portrait(self, stage: Stage) -> dict[str, Preview]:
        """Pictures of the trained stage, drawn once when it has finished: what would cost too much while it trains."""
        return {}
