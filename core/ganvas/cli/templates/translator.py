"""``translator: template-name``."""

import math
from typing import Annotated

import torch
from ganvas import Translator
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu


class Template(Translator):
    """Repaints an image where a mask says so, and leaves the rest as it is.

        G(x) = (1 - A) · C + A · x,    A = sigmoid(a(h)),  C = tanh(c(h)),  h = features of x

    Features keep the image's size: a 3x3 convolution and residual blocks of two 3x3 convolutions with instance norm.
    The mask A (one number per pixel) and the colours C are 3x3 convolutions of them. Images (N, C, H, W) in [-1, 1] of
    any size stay in [-1, 1]; where there is a condition, its numbers stand beside the image as constant maps.

    Source: Pumarola et al., "GANimation: Anatomically-aware Facial Animation from a Single Image", 2018, section 4.1,
    equation 1; the residual blocks from He et al., "Deep Residual Learning for Image Recognition", 2016.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[int, Field(ge=1, description="channels of the features")] = 32,
        blocks: Annotated[int, Field(ge=0, description="residual blocks")] = 3,
    ) -> None:
        super().__init__()
        self.conditional = condition is not None
        inputs = shape[0] + math.prod(condition or (0,))
        self.enter = nn.Conv2d(inputs, channels, 3, padding=1)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.mask = nn.Conv2d(channels, 1, 3, padding=1)
        self.colours = nn.Conv2d(channels, shape[0], 3, padding=1)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        seen = images
        if self.conditional:
            maps = condition.flatten(1).to(images.dtype)[:, :, None, None]
            seen = torch.cat([images, maps.expand(-1, -1, *images.shape[-2:])], dim=1)
        features = relu(self.enter(seen))
        for block in self.blocks:
            features = block(features)
        mask = torch.sigmoid(self.mask(features))
        return torch.lerp(torch.tanh(self.colours(features)), images.to(mask.dtype), mask)


class Block(nn.Module):
    """h + f(h), f two 3x3 convolutions with instance norm and a ReLU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels, channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)
