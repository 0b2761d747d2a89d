"""``generator: r3gan``."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Generator, Latents
from ganvas_plugins.layers import halvings
from ganvas_plugins.resampling import Filter
from ganvas_plugins.resnext import ResNextBlock, draw


class R3Gan(Generator):
    """Residual blocks with grouped convolutions from a learned basis up to the image: no norms, styles or noise.

    The latents z, beside them a linear embedding of the condition where there is one, weigh C learned maps of 4 to 7
    pixels: h_c = (W z)_c B_c. ``blocks`` residual blocks (``ResNextBlock``) follow at this and at each doubled
    resolution; between them a 1x1 convolution where the channels change, and bilinear doubling; at last a 1x1
    convolution to the image. Nothing bounds it while training; in eval mode it is clamped to [-1, 1]. The paper's
    network for 256x256 is the default, with ``channels`` 96; that for CIFAR-10 has ``channels`` 768. Sizes that are no
    such base doubled a few times raise ``ValueError``. Train it with the paired relativistic loss, R1 and R2.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024, section 4 (config E).
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers a sample is drawn from")] = 64,
        channels: Annotated[int, Field(ge=1, description="channels at full resolution; doubled at each halving")] = 96,
        max_channels: Annotated[int, Field(ge=1, description="no level is wider than this")] = 768,
        blocks: Annotated[int, Field(ge=1, description="residual blocks at each resolution")] = 2,
        expansion: Annotated[int, Field(ge=1, description="how much wider a block is inside")] = 2,
        group_size: Annotated[int, Field(ge=1, description="channels that a 3x3 convolution mixes")] = 16,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        widths = [min(max_channels, channels * 2**level) for level in reversed(range(depth + 1))]
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"z": latent})
        self.embed = draw(nn.Linear(math.prod(condition), latent, bias=False)) if condition is not None else None
        self.weigh = draw(nn.Linear(latent * (1 if condition is None else 2), widths[0], bias=False))
        self.basis = nn.Parameter(torch.randn(widths[0], shape[-2] >> depth, shape[-1] >> depth))
        self.levels = nn.ModuleList()
        for level, width in enumerate(widths):
            layers: list[nn.Module] = []
            if level > 0:
                if width != widths[level - 1]:
                    layers.append(draw(nn.Conv2d(widths[level - 1], width, 1, bias=False)))
                layers.append(Filter((1, 2, 1), "up"))
            layers += [
                ResNextBlock(width, expansion=expansion, group_size=group_size, blocks=blocks * len(widths))
                for _ in range(blocks)
            ]
            self.levels.append(nn.Sequential(*layers))
        self.image = draw(nn.Conv2d(widths[-1], shape[0], 1, bias=False))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            latents = torch.cat([latents, self.embed(condition.flatten(1))], dim=1)
        maps = self.weigh(latents)[:, :, None, None] * self.basis
        for level in self.levels:
            maps = level(maps)
        image = self.image(maps)
        return image if self.training else image.clamp(-1, 1)
