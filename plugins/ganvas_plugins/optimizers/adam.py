"""``optimizer: adam``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from ganvas import Optimizer, Scheduled


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  w <- w - lr m_hat / (sqrt(v_hat) + eps), where the hats correct
    the bias of the start. ``weight_decay`` adds L2 to the gradient (AdamW does not).
    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, Algorithm 1.
    """

    algorithm: ClassVar[Callable[..., torch.optim.Optimizer]] = torch.optim.Adam

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 2e-4,  # type: ignore[assignment]
        betas: Annotated[
            tuple[Annotated[Scheduled, Field(ge=0, lt=1)], Annotated[Scheduled, Field(ge=0, lt=1)]],
            Field(description="decay of the two running means; GANs use a small first one"),
        ] = (0.5, 0.999),  # type: ignore[assignment]
        eps: Annotated[float, Field(gt=0, description="added to the denominator")] = 1e-8,
        weight_decay: Annotated[float, Field(ge=0, description="L2 penalty, added to the gradient")] = 0.0,
    ) -> None:
        self.lr = Scheduled.of(lr)
        self.betas = (Scheduled.of(betas[0]), Scheduled.of(betas[1]))
        self.eps = eps
        self.weight_decay = weight_decay

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return self.algorithm(
            parameters,
            lr=self.lr.value,
            betas=(self.betas[0].value, self.betas[1].value),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
