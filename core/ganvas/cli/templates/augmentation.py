"""``augmentation: template-name``."""

from typing import Annotated

import torch
from ganvas import Augmentation
from pydantic import Field
from torch import Tensor


class Template(Augmentation):
    """Gaussian noise on everything that the discriminator sees.

        x ← x + σ ε,    ε ~ N(0, 1) for every number of every image,    σ = ``deviation``

    Blurred by noise, the distributions of reals and fakes overlap, so that the discriminator cannot tell them apart
    perfectly and its gradient goes on meaning something. Images (N, C, H, W) stay as large as they are; values may
    leave [-1, 1]. Gradients pass unchanged.

    Source: Arjovsky and Bottou, "Towards Principled Methods for Training Generative Adversarial Networks", 2017,
    section 3; Sønderby et al., "Amortised MAP Inference for Image Super-resolution", 2017 (instance noise).
    """

    differentiable = True

    def __init__(
        self,
        *,
        deviation: Annotated[float, Field(gt=0, description="σ, the standard deviation of the noise")] = 0.1,
    ) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=rng, device=images.device, dtype=images.dtype)
        return images + self.deviation * noise
