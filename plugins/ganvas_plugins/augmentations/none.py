"""``augmentation: none``."""

import torch
from torch import Tensor

from ganvas import Augmentation


class NoAugmentation(Augmentation):
    """Leaves the images as they are.

    Source: none; nothing is computed.
    """

    differentiable = True
    identity = True

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return images
