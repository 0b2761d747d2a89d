"""Contracts of what a duel is made of besides its networks: loss, regularizer, augmentation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas.kinds.options import Scheduled
from ganvas.kinds.records import Critique, Terms

if TYPE_CHECKING:
    from ganvas.kinds.duel import Match

__all__ = ["Augmentation", "Loss", "Regularizer", "Side"]

Side = Literal["generator", "discriminator"]


class DuelPart(nn.Module):
    """What a duel is made of besides its players. It may have networks of its own: a critic of features, InfoGAN's Q.

    Their parameters are trained in the update of one side, ``trained_in``, together with its player and by the same
    optimizer. In every other update they are frozen, and gradients pass through them to what is trained there. A
    regularizer that joins a single side is trained on that side, whatever ``trained_in`` says; one that takes a step of
    its own is trained in that step. Parameters that ask for no gradient when the duel is built stay as they are, and so
    does what is ``Trained``.

    Attributes:
        trained_in: the side in whose update the part's own parameters are trained.
        layers: names of the discriminator's layers that it reads; one that lacks any of them is refused.
    """

    trained_in: Side = "discriminator"
    layers: Sequence[str] = ()


class Loss(DuelPart):
    """An adversarial loss: both players see both critiques (relativistic and feature-matching losses need it).

    Attributes:
        needs: fields that the critiques must have (``{"direction"}`` for SAN). A loss that wraps another needs what
            that one needs too.
        monotone: whether the generator's side is the mean over the fakes of a function that never rises with a fake's
            score, and depends on nothing else: what SAN's conversion of a loss rests on.
    """

    needs: frozenset[str] = frozenset()
    monotone: bool = False

    @abstractmethod
    def discriminator(self, real: Critique, fake: Critique) -> Tensor | Terms:
        """What the discriminator minimises; ``fake`` carries no gradient to the generator."""

    @abstractmethod
    def generator(self, fake: Critique, real: Critique) -> Tensor | Terms:
        """What the generator minimises. Reading ``real`` costs a forward pass of the discriminator; most do not."""


class Regularizer(DuelPart):
    """An extra term of a side's objective, or a constraint after its step. Built with ``(duel)``.

    The options below are offered by every regularizer whose ``__init__`` takes ``**options`` and passes them on; one
    that declares an option of the same name gives it another default.

    Attributes:
        joins: the sides it acts on.
        wants: ``{"real"}``, ``{"fake"}``: whose input gradients it reads through ``match.gradients``.
    """

    joins: frozenset[Side] = frozenset({"discriminator"})
    wants: frozenset[str] = frozenset()

    def __init__(
        self,
        duel: Any = None,  # for checks and sizes; keeping it would make a cycle of modules
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="factor of the term")] = 1.0,  # type: ignore[assignment]
        every: Annotated[int, Field(ge=1, description="computed in every n-th iteration only")] = 1,
        rescale: Annotated[bool, Field(description="multiply a lazy term by every, to keep its mean strength")] = True,
        own_step: Annotated[bool, Field(description="take an optimizer step of its own")] = False,
        place: Annotated[
            Literal["first", "before", "after"],
            Field(description="where its own step stands: first in the iteration, before or after its side's update"),
        ] = "after",
    ) -> None:
        super().__init__()
        self.weight = Scheduled.of(weight)
        self.every = every
        self.rescale = rescale
        self.own_step = own_step
        self.place = place

    def penalty(self, match: Match) -> Tensor | Terms | None:
        """The term, not yet weighted; None where it has no term on this side."""
        return None

    def constrain(self, networks: Mapping[str, nn.Module]) -> None:
        """Runs after each step of the sides it joins (weight clipping)."""

    def prepare(self, networks: Mapping[str, nn.Module]) -> None:
        """Runs once, when the duel is built (spectral normalisation)."""


class Augmentation(DuelPart):
    """A batched transform on the training device. Parameters of its own are trained before a discriminator only.

    Attributes:
        differentiable: gradients pass through, so it may stand before a discriminator.
        identity: changes nothing, so the engine need not call it.
    """

    differentiable: bool = False
    identity: bool = False

    @abstractmethod
    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the same; ``side`` is ``real``, ``fake`` or ``view``."""

    def observe(self, real: Critique) -> None:
        """Runs after the discriminator's update, with its critique of the reals (ADA)."""

    def mix(self, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor | None:
        """(N,) of truths: which reals the discriminator gets a fake in place of, under the fake's condition (APA).

        None, the default, is none of them.
        """
        return None
