"""``regularizer: weight-clipping``."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from ganvas import Duel, Regularizer


class WeightClipping(Regularizer):
    """After each of its steps, every parameter of the critic (biases too) is clipped: w ← min(max(w, -c), c).

    It keeps the critic Lipschitz, crudely. c is ``limit``. What the step does not train (a frozen network inside the
    critic) stays as it is.

    Source: Arjovsky, Chintala and Bottou, "Wasserstein Generative Adversarial Networks", 2017, Algorithm 1, line 7.
    """

    def __init__(
        self,
        duel: Duel,
        *,
        limit: Annotated[float, Field(gt=0, description="c, the largest absolute value of a parameter")] = 0.01,
    ) -> None:
        super().__init__(duel)
        self.limit = limit

    @torch.no_grad()
    def constrain(self, networks: Mapping[str, nn.Module]) -> None:
        for parameter in networks["discriminator"].parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.limit, self.limit)
