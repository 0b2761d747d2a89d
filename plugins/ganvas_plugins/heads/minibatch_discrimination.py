"""``head: minibatch-discrimination``."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ganvas import Head, Use
from ganvas_plugins.heads.minibatch import MinibatchHead
from ganvas_plugins.heads.parts import pooled


class MinibatchDiscrimination(MinibatchHead):
    """Tells every sample how close it is to the others of its batch, so that a collapsed generator shows.

        M_i = T f(x_i)  (B kernels x C dimensions),    o(x_i)_b = Σ_{j≠i} exp(-‖M_ib - M_jb‖₁)

    B = ``kernels`` and C = ``dimensions``. The o stand beside the features, and ``head`` scores both. Feature maps are
    averaged over their places for M, and every place is given the same o. N equal samples have o = N - 1 in every
    kernel, samples far apart 0, a single sample 0. It takes N² B C numbers of memory. Scores are shaped as ``head``
    gives them.

    The paper's code has 100 kernels of 5 dimensions, with ``weight_norm``.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016, section 3.2.
    """

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        kernels: Annotated[int, Field(ge=1, description="B, the statistics of each sample")] = 100,
        dimensions: Annotated[int, Field(ge=1, description="C, numbers that a kernel compares")] = 5,
        weight_norm: Annotated[
            bool, Field(description="learn direction and length of each row of T apart; all lengths start at 1")
        ] = False,
        head: Annotated[Use[Head], Field(description="what scores features and statistics")] = "linear",
    ) -> None:
        super().__init__()
        self.kernels = kernels
        self.projection = nn.Linear(features, kernels * dimensions, bias=False)
        if weight_norm:
            _normalise(self.projection)
        self.wrap(head(features + kernels, condition))

    def statistics(self, features: Tensor) -> Tensor:
        projected = self.projection(pooled(features)).unflatten(1, (self.kernels, -1))
        distance = (projected[:, None] - projected[None]).abs().sum(-1)
        oneself = torch.eye(len(features), dtype=torch.bool, device=features.device)
        return torch.exp(-distance).masked_fill(oneself[..., None], 0.0).sum(1)


def _normalise(layer: nn.Linear) -> None:
    weight_norm(layer)
    nn.init.ones_(layer.parametrizations.weight.original0)
