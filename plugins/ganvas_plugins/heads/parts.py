"""What several heads share: one vector per sample, and the condition that they need."""

import math

import torch
from torch import Tensor

__all__ = ["numbers_of", "pooled", "wide"]


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
