"""``generator: resnet``."""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from ganvas import Generator, Latents
from ganvas_plugins.layers import halvings
from ganvas_plugins.residual import UpBlock, initialise, widths


class ResnetGenerator(Generator):
    """SNGAN's residual generator: a dense layer to a small map, blocks that each double it, batch norm, tanh.

    Latents z (N, D); a condition, where there is one, sets the gains and shifts of the blocks' batch norms. The paper's
    networks are the defaults: 256 channels throughout up to 32 pixels; 512, 256, 128, 64 for 48x48 and
    1024, 512, 256, 128, 64 for 64x64 (and one more of 1024 for 128x128). Weights are Glorot's, with a gain of √2 in the
    blocks. Images may be of any size that is a base of 4 to 7 pixels doubled a few times, square or not; others raise
    ``ValueError``.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, appendix B; the
    condition from Miyato and Koyama, "cGANs with Projection Discriminator", 2018; the blocks' form is that of Gulrajani
    et al., "Improved Training of Wasserstein GANs", 2017.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers a sample is drawn from")] = 128,
        prior: Annotated[Literal["normal", "uniform"], Field(description="their distribution")] = "normal",
        channels: Annotated[
            int | None,
            Field(ge=1, description="channels at full resolution; left out: 256 up to 32 pixels, 64 above"),
        ] = None,
        max_channels: Annotated[
            int | None,
            Field(
                ge=1,
                description="no map is wider; each halving doubles the channels up to it; left out: channels up to "
                "32 pixels, 16 times that above",
            ),
        ] = None,
        base: Annotated[
            int | None,
            Field(ge=1, description="shorter side of the smallest map; left out: between 4 and 7"),
        ] = None,
        upsampling: Annotated[
            Literal["nearest", "bilinear"], Field(description="how a map is doubled; nearest in the paper")
        ] = "nearest",
    ) -> None:
        super().__init__()
        depth = halvings(shape, base)
        wide = widths(shape, depth + 1, channels, max_channels, small=256)[::-1]
        given = math.prod(condition) if condition is not None else 0
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"z": latent}, {"z": prior})
        self.base = (shape[-2] >> depth, shape[-1] >> depth)
        self.project = nn.Linear(latent, wide[0] * math.prod(self.base))
        self.blocks = nn.ModuleList(UpBlock(wider, narrower, given, upsampling) for wider, narrower in pairwise(wide))
        self.norm = nn.BatchNorm2d(wide[-1])
        self.image = nn.Conv2d(wide[-1], shape[0], 3, padding=1)
        initialise(self, "glorot")

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        condition = condition.flatten(1) if self.conditional else None
        maps = self.project(latents).unflatten(1, (-1, *self.base))
        for block in self.blocks:
            maps = block(maps, condition)
        return torch.tanh(self.image(relu(self.norm(maps))))
