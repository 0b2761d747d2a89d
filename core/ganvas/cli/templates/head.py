"""``head: template-name``."""

from typing import Annotated

import torch
from ganvas import Critique, Head
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize


class Template(Head):
    """Scores by angle: the cosine between the features and a learned direction, times a constant.

        s(f) = τ · (w · f) / (‖w‖ ‖f‖),    τ = ``scale``

    The score lies in [-τ, τ] and does not change with the length of the features, so the discriminator cannot win by
    making them longer. Once per sample for flat features (N, F), once per place for maps (N, F, *S). The condition is
    not used. τ must exceed the margin of a hinge loss.

    Source: Luo et al., "Cosine Normalization: Using Cosine Similarity Instead of Dot Product in Neural Networks", 2018,
    section 2.
    """

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        scale: Annotated[float, Field(gt=0, description="τ, the largest score")] = 5.0,
    ) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(features))
        self.scale = scale

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        places = normalize(features, dim=1).movedim(1, -1)
        return Critique(self.scale * (places @ normalize(self.direction, dim=0)))
