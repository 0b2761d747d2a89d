"""``optimizer: adamw``."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field

from ganvas import Scheduled
from ganvas_plugins.optimizers.adam import Adam


class AdamW(Adam):
    """AdamW: Adam with weight decay outside the gradient.

    w <- w - lr (m_hat / (sqrt(v_hat) + eps) + decay w).
    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019, Algorithm 2.
    """

    algorithm = torch.optim.AdamW

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 1e-3,  # type: ignore[assignment]
        betas: Annotated[
            tuple[Annotated[Scheduled, Field(ge=0, lt=1)], Annotated[Scheduled, Field(ge=0, lt=1)]],
            Field(description="decay of the two running means"),
        ] = (0.9, 0.999),  # type: ignore[assignment]
        weight_decay: Annotated[float, Field(ge=0, description="share of a weight lost per unit of lr")] = 1e-2,
        **options: Any,
    ) -> None:
        super().__init__(lr=lr, betas=betas, weight_decay=weight_decay, **options)
