"""No condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganvas import Condition, Data


class NoCondition(Condition):
    """Samples are conditioned on nothing.

    Source: none; nothing is computed.
    """

    # The quickstart's classifier and its metrics ask for the condition of a sample.
    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan.condition": ...,
        "stages.gan.regularizers": [],
        "stages.gan.evaluate.metrics": [],
    }

    def __init__(self, data: Data) -> None:
        super().__init__()

    def of(self, batch: Mapping[str, Tensor]) -> None:
        return None

    def sample(self, number: int, rng: torch.Generator) -> None:
        return None
