"""``generator: biggan``."""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from ganvas import Generator, Latents
from ganvas_plugins.layers import halvings, normalise_spectrally
from ganvas_plugins.residual import NonLocal, UpBlock, attended, initialise

# Channels of the maps from the base to the image, by how often it is doubled; in multiples of ``channels``.
MULTIPLES = {4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1), 6: (16, 16, 8, 8, 4, 2, 1), 7: (16, 16, 8, 8, 4, 2, 1, 1)}


class BigGanGenerator(Generator):
    """BigGAN's generator: residual blocks whose every batch norm is told the class and a part of the latents.

    The latents are a group for the dense layer (``base``) and one for each block (``level0``, ``level1``, ...): the
    skips of z, "hierarchical" latents. The condition is embedded once, linearly; the embedding, beside the block's
    group, sets the gains and shifts of its batch norms. A non-local block stands where maps have 64 pixels. Every layer
    but the embedding is normalised spectrally, weights start orthogonal.

    The paper's networks are the defaults: 128x128 has 20 latents in each of 6 groups and 96 channels at full
    resolution, 16 times that at the base. Images below 64 pixels get the authors' network for CIFAR-10: one group z of
    128 latents, no embedding (the norms see the condition itself), 64 times 4 channels throughout. Any size that is a
    base of 4 to 7 pixels doubled a few times fits, square or not; others raise ``ValueError``.

    Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019,
    section 3 and appendix B; the network for CIFAR-10 is that of the authors' code.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[
            int | None,
            Field(ge=1, description="numbers in each group of latents; left out: 20, or 128 where there is only one"),
        ] = None,
        channels: Annotated[
            int | None,
            Field(ge=1, description="channels are multiples of this; left out: 96 from 64 pixels on, 64 below"),
        ] = None,
        hierarchical: Annotated[
            bool | None,
            Field(description="a group of latents for every block; left out: from 64 pixels on"),
        ] = None,
        embedding: Annotated[
            int | None,
            Field(
                ge=0,
                description="width of the condition's embedding, which all blocks share; 0 for none; left out: 128 "
                "from 64 pixels on, 0 below",
            ),
        ] = None,
        attention: Annotated[
            int | None,
            Field(ge=0, description="shorter side of the maps with a non-local block, 0 for none; left out: 64"),
        ] = None,
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, but the embedding's, by its largest singular value")
        ] = True,
        weights: Annotated[
            Literal["orthogonal", "normal"],
            Field(description="how weights start; N(0, 0.02) is the authors' choice for CIFAR-10"),
        ] = "orthogonal",
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        large = depth >= min(MULTIPLES)
        channels = channels or (96 if large else 64)
        hierarchical = large if hierarchical is None else hierarchical
        latent = latent or (20 if hierarchical else 128)
        embedding = (128 if large else 0) if embedding is None else embedding
        wide = [channels * multiple for multiple in multiples(depth)]
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        levels = [f"level{level}" for level in range(depth)] if hierarchical else []
        self.latents = Latents({"base" if hierarchical else "z": latent} | dict.fromkeys(levels, latent))
        self.base = (shape[-2] >> depth, shape[-1] >> depth)
        given = math.prod(condition) if condition is not None else 0
        self.embed = nn.Linear(given, embedding, bias=False) if given and embedding else nn.Identity()
        told = (embedding or given) * bool(given) + latent * hierarchical
        side = attended([min(self.base) << level for level in range(1, depth + 1)], attention)
        self.project = nn.Linear(latent, wide[0] * math.prod(self.base))
        self.blocks = nn.ModuleList()
        for level, (wider, narrower) in enumerate(pairwise(wide)):
            block = [UpBlock(wider, narrower, told, spectral_norm=spectral_norm)]
            block += [NonLocal(narrower)] if min(self.base) << level + 1 == side else []
            self.blocks.append(nn.ModuleList(block))
        self.norm = nn.BatchNorm2d(wide[-1])
        self.image = nn.Conv2d(wide[-1], shape[0], 3, padding=1)
        initialise(self, weights)
        for part in (self.project, self.blocks, self.image) if spectral_norm else ():
            normalise_spectrally(part)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        first, *rest = self.latents.split(latents).values()
        common = [self.embed(condition.flatten(1))] if self.conditional else []
        maps = self.project(first).unflatten(1, (-1, *self.base))
        for level, block in enumerate(self.blocks):
            told = common + rest[level : level + 1]
            for part in block:
                maps = part(maps, torch.cat(told, dim=1) if told else None)
        return torch.tanh(self.image(relu(self.norm(maps))))


def multiples(depth: int) -> tuple[int, ...]:
    """Channels of the maps from the base to the image, in multiples; above 512 pixels, where there is no paper's, 1."""
    if depth < min(MULTIPLES):
        return (4,) * (depth + 1)
    return MULTIPLES[min(depth, max(MULTIPLES))] + (1,) * (depth - max(MULTIPLES))
