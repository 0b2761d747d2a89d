"""``discriminator: biggan``."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import halvings
from ganvas_plugins.residual import DownBlock, NonLocal, PooledFeatures, attended, initialise, paper_halvings

# Channels after each block, in multiples of ``channels``, by how often the image is halved; the last does not halve.
MULTIPLES = {4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16), 6: (1, 2, 4, 8, 8, 16, 16), 7: (1, 1, 2, 4, 8, 8, 16, 16)}


class BigGanDiscriminator(TrunkDiscriminator):
    """BigGAN's discriminator: wide residual blocks with a non-local block at 64 pixels, ReLU, the sum over all places.

    Every layer is normalised spectrally, the head's too; weights start orthogonal. The paper's networks are the
    defaults: for 128x128 blocks with 96, 192, 384, 768 and 1536 channels halve the image to 4x4, one more of 1536
    follows. Images below 64 pixels get the authors' network for CIFAR-10: four blocks of 64 times 4 channels, of which
    two halve. The paper's head is ``projection``. Nothing mixes the samples of a batch, so it is safe under any
    gradient penalty. Images may be of any size that can be halved to 4 to 7 pixels, square or not; others raise
    ``ValueError``. Features (N, F), scores (N,).

    Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019,
    appendix B; the network for CIFAR-10 is that of the authors' code.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int | None,
            Field(ge=1, description="channels are multiples of this; left out: 96 from 64 pixels on, 64 below"),
        ] = None,
        attention: Annotated[
            int | None,
            Field(ge=0, description="shorter side of the maps with a non-local block, 0 for none; left out: 64"),
        ] = None,
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the head's too, by its largest singular value")
        ] = True,
        weights: Annotated[
            Literal["orthogonal", "normal"],
            Field(description="how weights start; N(0, 0.02) is the authors' choice for CIFAR-10"),
        ] = "orthogonal",
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        large = depth >= min(MULTIPLES)
        channels = channels or (96 if large else 64)
        halving = depth if large else min(2, paper_halvings(shape))
        wide = [channels * multiple for multiple in (multiples(depth) if large else (4, 4, 4, 4))]
        inputs = self.input_channels(shape, condition, conditional)
        sides = [min(shape[-2:]) >> min(level + 1, halving) for level in range(len(wide))]
        side = attended(sides, attention)
        blocks: dict[str, nn.Module] = {}
        for level, (given, made) in enumerate(zip([inputs, *wide], wide)):
            blocks[f"level{level}"] = DownBlock(given, made, made, halve=level < halving, first=level == 0)
            if sides[level] == side and side not in sides[:level]:
                blocks["attention"] = NonLocal(made)
        blocks["features"] = PooledFeatures()
        start = partial(initialise, weights=weights)
        self.assemble(blocks, head(wide[-1], condition), conditional, spectral_norm, start)


def multiples(depth: int) -> tuple[int, ...]:
    """Channels after each block, in multiples; for more than 512 pixels, where there is no paper's, 1 at first."""
    return (1,) * (depth - max(MULTIPLES)) + MULTIPLES[min(depth, max(MULTIPLES))]
