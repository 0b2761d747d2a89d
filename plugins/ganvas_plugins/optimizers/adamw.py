"""``optimizer: adamw``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from ganvas import Optimizer, Scheduled


class AdamW(Optimizer):
    """AdamW: Adam with weight decay outside the gradient.

    w <- w - lr (m_hat / (sqrt(v_hat) + eps) + decay w).
    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2.
    """

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 1e-3,  # type: ignore[assignment]
        betas: Annotated[
            tuple[Annotated[Scheduled, Field(ge=0, lt=1)], Annotated[Scheduled, Field(ge=0, lt=1)]],
            Field(description="decay of the two running means"),
        ] = (0.9, 0.999),  # type: ignore[assignment]
        eps: Annotated[float, Field(gt=0, description="added to the denominator")] = 1e-8,
        weight_decay: Annotated[float, Field(ge=0, description="share of a weight lost per unit of lr")] = 1e-2,
    ) -> None:
        self.lr = Scheduled.of(lr)
        self.betas = (Scheduled.of(betas[0]), Scheduled.of(betas[1]))
        self.eps = eps
        self.weight_decay = weight_decay

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            parameters,
            lr=self.lr.value,
            betas=(self.betas[0].value, self.betas[1].value),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
