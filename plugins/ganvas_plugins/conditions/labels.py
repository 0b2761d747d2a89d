"""The data's own labels as the condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganvas import Condition, Data, Segment
from ganvas_plugins.conditions.one_hot import named_index, one_hot, require


class Labels(Condition):
    """The label of an image as a one-hot vector (N, K) of zeros and a one; classes are sampled uniformly.

    Raises:
        ValueError: the data have no labels.

    Source: Mirza & Osindero, "Conditional Generative Adversarial Nets", 2014, section 4.1.
    """

    needs = frozenset({"labels"})

    def __init__(self, data: Data) -> None:
        super().__init__()
        require("labels", data)
        self.names: Sequence[str] = list(data.classes)
        self.shape = (len(self.names),)
        self.segments = [Segment("one-hot", len(self.names))]

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The batch's labels as one-hot, float (N, K)."""
        return one_hot(batch["labels"], self.shape[0])

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        return one_hot(torch.randint(self.shape[0], (number,), generator=rng, device=rng.device), self.shape[0])

    def parse(self, value: Any) -> Tensor:
        """A class's number or name."""
        return one_hot(torch.tensor([named_index(value, self.names, "class")]), self.shape[0])[0]
