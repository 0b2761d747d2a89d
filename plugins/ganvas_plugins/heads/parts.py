"""What several heads share: one vector per sample, and the condition that they need."""

import math

import torch
from torch import Tensor

from ganvas import Head

__all__ = ["WrappingHead", "numbers_of", "pooled", "wide"]


class WrappingHead(Head):
    """A head around another, ``self.head``, which makes the scores."""

    def wrap(self, head: Head) -> None:
        """Takes the inner head, and gives and demands what that one does."""
        self.head = head
        self.conditional, self.demands = head.conditional, head.demands
        self.gives = type(self).gives | head.gives


def wide(values: Tensor) -> Tensor:
    """Half precision as float32, anything wider as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def pooled(features: Tensor) -> Tensor:
    """(N, F, *S) -> (N, F): the mean over the places, not in half precision; flat features as they are."""
    return wide(features).flatten(2).mean(2) if features.dim() > 2 else wide(features)


def numbers_of(condition: tuple[int, ...] | None) -> int:
    """How many numbers a condition has. Raises ``ValueError`` where there is no condition."""
    if condition is None:
        raise ValueError(
            "the head needs the condition of each sample, and the discriminator is given none; "
            "give the stage a condition (labels, say) or use head: linear"
        )
    return math.prod(condition)
