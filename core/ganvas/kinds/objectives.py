"""Contracts of what a duel is made of besides its networks: loss, regularizer, augmentation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from ganvas.kinds.options import Scheduled
from ganvas.kinds.records import Critique, Terms

if TYPE_CHECKING:
    from ganvas.kinds.duel import Duel, Match

__all__ = ["Augmentation", "Loss", "Regularizer", "Side"]

Side = Literal["generator", "discriminator"]


class Loss(nn.Module):
    """An adversarial loss: both players see both critiques (relativistic and feature-matching losses need it).

    Attributes:
        needs: fields that the critiques must have (``{"direction"}`` for SAN).
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def discriminator(self, real: Critique, fake: Critique) -> Tensor | Terms:
        """What the discriminator minimises; ``fake`` carries no gradient to the generator."""

    @abstractmethod
    def generator(self, fake: Critique, real: Critique) -> Tensor | Terms:
        """What the generator minimises. Reading ``real`` costs a forward pass of the discriminator; most do not."""


class Regularizer(nn.Module):
    """An extra term of a side's objective, or a constraint after its step. Built with ``(duel)``.

    Set these as attributes (of the class or of the instance, from options):

    Attributes:
        joins: the sides it acts on.
        weight: factor of the penalty.
        every: computed in every n-th iteration only (lazy).
        rescale: multiplies a lazy term by ``every``, so that its mean strength does not depend on it.
        own_step: takes an optimizer step of its own (with the side's optimizer) instead of joining the side's terms.
        place: where its own step stands: ``first`` in the iteration, ``before`` or ``after`` its side's update.
        wants: ``{"real"}``, ``{"fake"}``: whose input gradients it reads through ``match.gradients``.
    """

    joins: frozenset[Side] = frozenset({"discriminator"})
    weight: float | Scheduled = 1.0
    every: int = 1
    rescale: bool = False
    own_step: bool = False
    place: Literal["first", "before", "after"] = "after"
    wants: frozenset[str] = frozenset()

    def __init__(self, duel: Duel | None = None) -> None:
        super().__init__()  # the duel is for checks and sizes; keeping it would make a cycle of modules

    def penalty(self, match: Match) -> Tensor | Terms | None:
        """The term, not yet weighted; None where it has no term on this side."""
        return None

    def constrain(self, networks: Mapping[str, nn.Module]) -> None:
        """Runs after each step of the sides it joins (weight clipping)."""

    def prepare(self, networks: Mapping[str, nn.Module]) -> None:
        """Runs once, when the duel is built (spectral normalisation)."""


class Augmentation(nn.Module):
    """A batched transform on the training device.

    Attributes:
        differentiable: gradients pass through, so it may stand before a discriminator.
    """

    differentiable: bool = False

    @abstractmethod
    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the same; ``side`` is ``real``, ``fake`` or ``view``."""

    def observe(self, real: Critique) -> None:
        """Runs after the discriminator's update, with its critique of the reals (ADA)."""

    def mix(self, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        """What the discriminator takes for real (APA may slip fakes in)."""
        return real
