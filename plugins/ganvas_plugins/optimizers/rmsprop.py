"""``optimizer: rmsprop``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from ganvas import Optimizer, Scheduled


class RmsProp(Optimizer):
    """RMSProp: steps scaled by a running mean of the squared gradient; what WGAN's critic is trained with.

    v <- a v + (1 - a) g^2,  w <- w - lr g / (sqrt(v) + eps).
    Source: Tieleman & Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.
    """

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 5e-5,  # type: ignore[assignment]
        alpha: Annotated[float, Field(ge=0, lt=1, description="decay of the running mean")] = 0.99,
        eps: Annotated[float, Field(gt=0, description="added to the denominator")] = 1e-8,
        momentum: Annotated[float, Field(ge=0, lt=1, description="momentum of the steps")] = 0.0,
        weight_decay: Annotated[float, Field(ge=0, description="L2 penalty, added to the gradient")] = 0.0,
    ) -> None:
        self.lr = Scheduled.of(lr)
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.weight_decay = weight_decay

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            parameters,
            lr=self.lr.value,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
