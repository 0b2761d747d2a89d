"""``optimizer: template-name``."""

from collections.abc import Iterable
from typing import Annotated

import torch
from ganvas import Optimizer, Scheduled
from pydantic import Field
from torch import nn


class Template(Optimizer):
    """Adagrad: steps scaled by all the squared gradients so far, so that they shrink by themselves.

        v ← v + g²,    w ← w - lr · g / (sqrt(v) + eps),    v starts at ``start``

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    2011, section 1.1 (the diagonal form).
    """

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 1e-2,
        start: Annotated[float, Field(ge=0, description="what the sum of squares starts at")] = 0.0,
        eps: Annotated[float, Field(gt=0, description="added to the denominator")] = 1e-10,
        weight_decay: Annotated[float, Field(ge=0, description="L2 penalty, added to the gradient")] = 0.0,
    ) -> None:
        self.lr = Scheduled.of(lr)
        self.start = start
        self.eps = eps
        self.weight_decay = weight_decay

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(
            parameters,
            lr=self.lr.value,
            initial_accumulator_value=self.start,
            eps=self.eps,
            weight_decay=self.weight_decay,
        )
