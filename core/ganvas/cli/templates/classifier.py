"""``classifier: template-name``."""

import math
from typing import Annotated

from ganvas import Classifier
from pydantic import Field
from torch import Tensor, nn


class Template(Classifier):
    """Maxout: every hidden unit is the largest of several affine functions.

        h_i = max_j (w_ij · x + b_ij),    logits = W dropout(h) + b,    j = 1 ... ``pieces``

    A unit so learns its own convex activation: two pieces can be a ReLU or an absolute value. Takes features (N, F) or
    images (N, C, H, W), which are flattened; gives logits (N, K). ``embed`` gives h.

    Source: Goodfellow et al., "Maxout Networks", 2013, section 3.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        *,
        hidden: Annotated[int, Field(ge=1, description="number of maxout units")] = 64,
        pieces: Annotated[int, Field(ge=2, description="affine functions per unit")] = 2,
        dropout: Annotated[float, Field(ge=0, lt=1, description="share of units dropped while training")] = 0.0,
    ) -> None:
        super().__init__()
        self.features = hidden
        self.affine = nn.Sequential(nn.Linear(math.prod(shape), hidden * pieces), nn.Unflatten(1, (hidden, pieces)))
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, outputs))

    def embed(self, images: Tensor) -> Tensor:
        """(N, *shape) -> the hidden units (N, hidden)."""
        return self.affine(images.flatten(1)).amax(2)

    def forward(self, images: Tensor) -> Tensor:
        return self.output(self.embed(images))
