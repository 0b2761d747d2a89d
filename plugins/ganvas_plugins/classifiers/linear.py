"""Classifier ``linear``: one affine layer."""

import math

from torch import Tensor, nn

from ganvas import Classifier


class Linear(Classifier):
    """Logits = W x + b, over features (N, F) or flattened images (N, C, H, W).

    The linear evaluation protocol of self-supervised learning, and InfoSCC-GAN's attribute classifier.

    Source: Kinakh et al., "Information-theoretic stochastic contrastive conditional GAN: InfoSCC-GAN", 2021,
    section 3.2.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(shape), outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1))
