"""``generator: template-name``."""

import math
from typing import Annotated

import torch
from ganvas import Generator, Latents
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu


class Template(Generator):
    """A dense layer, then convolutions between enlargements, every pixel's features kept at unit length.

        a ← leaky(conv(enlarge(a))),    a ← a / sqrt(mean_c a_c² + ε)    at each pixel, c over the channels

    Latents z (N, D), beside them the condition's numbers where there is one, become a map of at most 4 pixels on its
    shorter side; each block enlarges it to the next of the sizes that halving the image gives (rounded up), so that
    images of any size fit; at last a 1x1 convolution and tanh. No sample depends on another of its batch.

    Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018, section
    4.2 and table 2, without the growing; enlarging before convolving also in Odena, Dumoulin and Olah, "Deconvolution
    and Checkerboard Artifacts", 2016.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers that a sample is drawn from")] = 64,
        channels: Annotated[int, Field(ge=1, description="channels at full resolution; halving doubles them")] = 16,
        max_channels: Annotated[int, Field(ge=1, description="no layer is wider than this")] = 256,
    ) -> None:
        super().__init__()
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"z": latent})
        sizes = [(shape[-2], shape[-1])]
        while min(sizes[0]) > 4:
            sizes.insert(0, (math.ceil(sizes[0][0] / 2), math.ceil(sizes[0][1] / 2)))
        widths = [min(max_channels, channels * 2**level) for level in reversed(range(len(sizes)))]
        inputs = latent + math.prod(condition or (0,))
        self.dense = nn.Linear(inputs, widths[0] * math.prod(sizes[0]))
        self.base = (widths[0], *sizes[0])
        self.blocks = nn.ModuleList(Block(*pair) for pair in zip(widths, widths[1:], sizes[1:]))
        self.image = nn.Conv2d(widths[-1], shape[0], 1)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.conditional:
            latents = torch.cat([latents, condition.flatten(1)], dim=1)
        maps = normalised(leaky_relu(self.dense(latents).unflatten(1, self.base), 0.2))
        for block in self.blocks:
            maps = block(maps)
        return torch.tanh(self.image(maps))


class Block(nn.Module):
    """Enlarges maps (N, C, H, W) to a size, convolves them, and makes every pixel's features unit length."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return normalised(leaky_relu(self.convolution(interpolate(maps, self.size)), 0.2))


def normalised(maps: Tensor) -> Tensor:
    """(N, C, H, W) with a mean square of one over the channels of every pixel."""
    return maps * torch.rsqrt(maps.square().mean(1, keepdim=True) + 1e-8)
