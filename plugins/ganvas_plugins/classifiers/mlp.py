"""Classifier ``mlp``: a multi-layer perceptron."""

import math
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ganvas import Classifier


class Mlp(Classifier):
    """Affine layers with ReLU in between, over features (N, F) or flattened images (N, C, H, W).

    x_0 = x, x_i = dropout(ReLU(W_i x_{i-1} + b_i)) for each hidden layer, logits = W x_last + b.

    Source: Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors", 1986.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        *,
        hidden: Annotated[int, Field(gt=0, description="width of the hidden layers")] = 256,
        layers: Annotated[int, Field(ge=1, description="number of hidden layers")] = 1,
        dropout: Annotated[float, Field(ge=0, lt=1, description="share of hidden units dropped while training")] = 0.0,
    ) -> None:
        super().__init__()
        widths = [math.prod(shape), *[hidden] * layers]
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(dropout))
                for wide, narrow in pairwise(widths)
            )
        )
        self.output = nn.Linear(widths[-1], outputs)
        self.features = hidden

    def embed(self, images: Tensor) -> Tensor:
        """(N, *shape) -> the last hidden layer (N, hidden)."""
        return self.hidden(images.flatten(1))

    def logits(self, features: Tensor) -> Tensor:
        """The last hidden layer (N, hidden) -> (N, K)."""
        return self.output(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.embed(images))
