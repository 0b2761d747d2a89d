"""No condition."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganvas import Condition, Data


class NoCondition(Condition):
    """Samples are conditioned on nothing.

    Source: none; nothing is computed.
    """

    def __init__(self, data: Data) -> None:
        super().__init__()

    def of(self, batch: Mapping[str, Tensor]) -> None:
        return None

    def sample(self, number: int, rng: torch.Generator) -> None:
        return None
