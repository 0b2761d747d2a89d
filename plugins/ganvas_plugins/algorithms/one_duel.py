"""What algorithms around one duel share: samples of its generator under a condition, and pictures of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganvas import Algorithm, Condition, Discriminator, Duel, Generated, Generator, Match, Preview, Step, Use

__all__ = ["OneDuel"]


class OneDuel(Algorithm):
    """One generator against one discriminator, with or without a condition.

    A subclass sets ``condition`` and ``duel``, and says what their updates are and what one round is.
    """

    gives = {"generator": Generator, "discriminator": Discriminator}
    averaged = ("generator",)
    condition: Condition
    duel: Duel

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"images"}) | self.condition.needs

    def networks(self) -> dict[str, nn.Module]:
        return self.duel.networks()

    @abstractmethod
    def match(self, side: Literal["generator", "discriminator"], step: Step) -> Match:
        """One round of the duel on the step's batch."""

    def matches(self, step: Step) -> dict[str, Match]:
        return {"": self.match("discriminator", step)}

    def player(self, build: Use[Generator]) -> Generator:
        """The generator, built for the stage's data and condition.

        Raises:
            ValueError: its samples are not shaped like the data's, or it ignores the condition.
        """
        made, shape = build(self.data.shape, self.condition.shape), tuple(self.data.shape)
        name = type(made).__name__
        if tuple(made.sample_shape) != shape:
            raise ValueError(f"{name} makes samples of {tuple(made.sample_shape)}, the data are {shape}")
        if self.condition.shape is not None and not made.conditional:
            raise ValueError(f"{name} ignores its condition; use a conditional generator, or condition: none")
        return made

    @torch.no_grad()
    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Draws (number, C, H, W) in [-1, 1].

        Args:
            number: of samples.
            condition: rows (number, K), or one row for all; None draws them from the condition's prior.
            rng: on the networks' device; None draws the same samples every time.
        """
        device = next(self.duel.generator.parameters()).device
        rng = rng if rng is not None else torch.Generator(device)
        if condition is not None and condition.dim() == len(self.condition.shape or ()):
            condition = condition.expand(number, *condition.shape)
        return self.generate(*self.draw(number, condition, rng))

    def generate(self, latents: Tensor, condition: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Latents (N, D) under conditions, rows (N, K) or None -> their images (N, C, H, W) in [-1, 1].

        Args:
            truncation: the strength of ``Generator.truncated``; 1 truncates nothing.
        """
        parts = zip(
            latents.split(_AT_ONCE),
            condition.to(latents.device).split(_AT_ONCE) if condition is not None else [None] * len(latents),
            strict=False,
        )
        made = [self.duel.generator.truncated(*part, truncation) for part in parts]
        return torch.cat([Generated.of(part).samples for part in made])

    @torch.no_grad()
    def previews(self, batch: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        """``samples``: a column per condition, rows share their latents. ``traversal/...``: a row per axis.

        Traversed are the axes of named latents and, where the condition is a code, its continuous numbers.
        """
        latents = self.duel.generator.latents
        conditions = self._grid(rng)
        if conditions is None:
            pictures = {"samples": Preview(self.generate(latents.sample(_ROWS * _ROWS, rng), None), _ROWS)}
        else:
            columns = conditions.shape[1]
            rows = latents.sample(_ROWS, rng).repeat_interleave(columns, 0)
            pictures = {"samples": Preview(self.generate(rows, conditions.flatten(0, 1)), columns)}
        middle = latents.truncate(latents.sample(1, rng), _TRUNCATION)
        given = None if conditions is None else conditions[0, :1]
        for group, size in latents.groups.items():
            if len(latents.groups) > 1 and size <= _MOST_AXES:
                moved = torch.cat([latents.traverse(middle, group, axis, _TRAVERSED) for axis in range(size)])
                pictures[f"traversal/{group}"] = self._traversal(moved, given, _TRAVERSED)
        axes = [] if self.condition.observed else self.condition.numbers("continuous")[:_MOST_AXES]
        if given is not None and axes:
            moved = given.repeat(len(axes), len(_VARIED), 1)
            for row, axis in zip(moved, axes, strict=True):
                row[:, axis] = row.new_tensor(_VARIED)
            pictures["traversal/code"] = self._traversal(middle, moved.flatten(0, 1), _VARIED)
        return pictures

    def _traversal(self, latents: Tensor, condition: Tensor | None, values: Sequence[float]) -> Preview:
        """What moves has a row per picture; what stays has one row for all."""
        number = max(len(part) for part in (latents, condition) if part is not None)
        latents, condition = (
            part if part is None or len(part) == number else part.expand(number, *part.shape[1:])
            for part in (latents, condition)
        )
        return Preview(self.generate(latents, condition), len(values))

    def _grid(self, rng: torch.Generator) -> Tensor | None:
        """The conditions (rows, columns, *shape) that previews show, or None.

        The columns are the values of the condition's first class, the first ten of many; whatever else the condition
        says is drawn for each row. Where it has no class, one condition is drawn for each column.
        """
        drawn = self.condition.sample(_ROWS, rng)
        if drawn is None:
            return None
        classes = next((segment.size for segment in self.condition.segments if segment.kind == "one-hot"), 0)
        if not classes:
            return drawn.expand(_ROWS, *drawn.shape)
        grid = drawn.unsqueeze(1).repeat(1, min(classes, _MOST_CLASSES), 1)
        grid[:, :, self.condition.numbers("one-hot")[:classes]] = torch.eye(classes, device=rng.device)[:_MOST_CLASSES]
        return grid


_AT_ONCE = 256
_ROWS = 8
_MOST_CLASSES = 10
_MOST_AXES = 16
_TRUNCATION = 0.7
_TRAVERSED = [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
_VARIED = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]  # twice as far as a uniform code is drawn, as InfoGAN shows
