"""``optimizer: sgd``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from ganvas import Optimizer, Scheduled


class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum.

    v <- m v + g,  w <- w - lr v; with Nesterov's look-ahead, w <- w - lr (g + m v).
    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 1e-2,  # type: ignore[assignment]
        momentum: Annotated[Scheduled, Field(ge=0, lt=1, description="momentum")] = 0.0,  # type: ignore[assignment]
        nesterov: Annotated[bool, Field(description="look ahead along the momentum")] = False,
        weight_decay: Annotated[float, Field(ge=0, description="L2 penalty, added to the gradient")] = 0.0,
    ) -> None:
        self.lr = Scheduled.of(lr)
        self.momentum = Scheduled.of(momentum)
        if nesterov and self.momentum.value == 0:
            raise ValueError("nesterov looks ahead along the momentum: give momentum above 0")
        self.nesterov = nesterov
        self.weight_decay = weight_decay

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=self.lr.value,
            momentum=self.momentum.value,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )
