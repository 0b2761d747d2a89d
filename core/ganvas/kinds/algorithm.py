"""The contract of a stage's training: ``Algorithm``, its ``Update``s, and the ``Step`` that an objective receives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from ganvas.kinds.data import Data
from ganvas.kinds.options import Scheduled
from ganvas.kinds.records import Terms

if TYPE_CHECKING:
    from ganvas.kinds.duel import Match
    from ganvas.kinds.evaluation import Stage

__all__ = ["Algorithm", "Embedding", "Preview", "Step", "Update", "flat", "grouped", "visible"]

Drawn = TypeVar("Drawn", bound=Tensor | None)

BLOCK = 64  # samples whose latents are drawn at once


class Step:
    """What an objective may know about the moment it runs in.

    Attributes:
        index: iterations done before this one.
        repetition: which run of a repeated update this is.
        batch: named tensors; images are float (N, C, H, W) in [-1, 1], ``index`` says which samples they are.
        size: samples per batch, of this process's share where several train together.
        shared: a dict that lives for one iteration (pooled fakes, a forward that two updates use).
        rng: a generator on the training device, seeded anew before each objective; in each process otherwise, where
            several train together.
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
        common: torch.Generator | None = None,
        rank: int = 0,
        ranks: int = 1,
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
        self._common, self._rank, self._ranks = common, rank, ranks

    @property
    def images(self) -> int:
        """Images seen before this iteration, by all processes."""
        return self.index * self.size * self._ranks

    @property
    def progress(self) -> float:
        """Share of the stage's steps done, in [0, 1). A stage that reads it depends on its length."""
        self._note_length()
        return self.index / self._steps

    def draw(self, source: str | None = None, size: int | None = None) -> dict[str, Tensor]:
        """Another batch, from a named source of the dataset; each source has its own position."""
        return self._draw(source, size)

    def sample(self, draw: Callable[[int, torch.Generator], Drawn], number: int) -> Drawn:
        """Latents or conditions: ``number`` rows of what ``draw(number, rng)`` gives.

        Where several processes train together, they draw for all of them and each takes its rows, those that belong to
        its share of the batch. So a batch of a given size has the same latents, however many processes train on it.

        Args:
            draw: from a prior, such as ``generator.latents.sample``; rows, or None where there is nothing to draw.
            number: as many as the batch has samples, or a multiple of it.
        """
        if self._ranks == 1:
            return draw(number, self.rng)
        assert self._common is not None
        whole = draw(number * self._ranks, self._common)
        if isinstance(whole, Tensor):
            blocks = 1 if number % self.size else number // self.size
            rows = whole.unflatten(0, (blocks, self._ranks, number // blocks))[:, self._rank].flatten(0, 1)
            return rows  # type: ignore[return-value]
        return whole

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
        rows: what each row shows, where that is said.
    """

    images: Tensor
    columns: int = field(default=8)
    embedding: Embedding | None = None
    rows: Sequence[str] = ()

    def grid(self) -> Tensor:
        """All images as one picture (3, H', W') in [0, 1] on the CPU, with borders of a pixel between them."""
        from torchvision.utils import make_grid

        return make_grid(visible(self.images), nrow=self.columns, padding=1)


def visible(images: Tensor) -> Tensor:
    """What a screen can show of (N, C, H, W) in [-1, 1]: grey or RGB (N, 1 or 3, H, W') in [0, 1], on the CPU.

    One channel is grey, three are RGB. Of any other number each channel is grey, and they lie side by side, from the
    left to the right. What is no number is shown as 0, and what lies beyond the range as its end.
    """
    images = images.float().cpu().nan_to_num().clamp(-1, 1) / 2 + 0.5
    number, channels, height, width = images.shape
    if channels in (1, 3):
        return images
    return images.transpose(1, 2).reshape(number, 1, height, channels * width)


class Algorithm(nn.Module):
    """A stage's training: the only kind that knows several networks at once. Built with ``(data)``.

    Its file reads like the paper's algorithm box; gradients, optimizers, precision, averaging, checkpoints and logs
    are the engine's.

    Attributes:
        gives: products that later stages may ask for, by name and kind: ``{"encoder": Encoder}``.
        needs: fields that the dataset must have.
        optimizers: what each optimizer is unless the spec says otherwise, as it would stand there.
        averaged: the networks that ``ema`` averages unless the spec names others.
        steps: iterations of a stage that trains nothing: 0, and a spec names none; None where the spec says how many.
        holds_average: whether the weights in place are averaged ones; None where nobody knows.
    """

    gives: ClassVar[Mapping[str, type]] = {}
    optimizers: ClassVar[Mapping[str, Any] | str] = {"use": "adam", "lr": 2e-4, "betas": [0.5, 0.999]}
    averaged: ClassVar[Sequence[str]] = ()
    steps: ClassVar[int | None] = None
    holds_average: bool | None = False

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

    @classmethod
    def offers(cls) -> Mapping[str, type]:
        """What a later stage may ask for, by name and kind: what it ``gives``, and itself as a whole, under no name."""
        return {**cls.gives, "": cls}

    def product(self, name: str) -> nn.Module:
        """One of what it ``offers``."""
        return self.products()[name] if name else self

    def draw(self, number: int, condition: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """What samples are made from: latents (number, D) from their prior, and conditions.

        For an algorithm that gives a generator, and makes its samples with ``generate(latents, condition)``. They are
        drawn in blocks, the conditions even where they are given: the i-th sample of a seed is the same however many
        are drawn, and its latents are the same under any condition.

        Args:
            number: of samples.
            condition: rows (number, K), which are returned as they are; None draws them from the condition's prior.
            rng: on the networks' device.

        Returns:
            The latents, and the conditions or None where the stage has none.
        """
        prior: Any = self.products()["generator"]
        own = getattr(self, "condition", None)
        latents, rows = [], []
        for _ in range(0, number, BLOCK):
            latents.append(prior.latents.sample(BLOCK, rng))
            if own is not None and (drawn := own.sample(BLOCK, rng)) is not None:
                rows.append(drawn)
        if condition is None and rows:
            condition = torch.cat(rows)[:number]
        return torch.cat(latents)[:number], condition

    def matches(self, step: Step) -> Mapping[str, Match]:
        """One round of each of its duels, on the discriminator's side, by a name that tells them apart.

        For looking at what they are like (their scores on samples of training and on held-out ones), not for training:
        called in eval mode, without gradients, on a batch of its own. One duel needs no name: ``{"": match}``.
        """
        return {}

    def previews(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        """Pictures by name, drawn with the averaged weights; ``batch`` and ``rng`` are the same each time."""
        return {}

    def portrait(self, stage: Stage) -> dict[str, Preview]:
        """Pictures of the trained stage, drawn once when it has finished: what would cost too much while it trains."""
        return {}
