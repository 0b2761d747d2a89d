"""``discriminator: resnet``."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import halvings
from ganvas_plugins.residual import DownBlock, PooledFeatures, initialise, paper_halvings, widths


class ResnetDiscriminator(TrunkDiscriminator):
    """SNGAN's residual discriminator: blocks that halve the image, a few that do not, ReLU, the sum over all places.

    The paper's networks are the defaults. Up to 32 pixels two blocks halve and two do not, with 128 channels; above,
    blocks with 64, 128, ..., 1024 channels halve the image down to 2 or 3 pixels, five times at most, and one more
    block follows where more than 2 are left. Every layer is normalised spectrally, the head's too. WGAN-GP's critic for
    32x32 is ``spectral_norm: false, pooling: mean``. Nothing mixes the samples of a batch, so it is safe under any
    gradient penalty. Weights are Glorot's, with a gain of √2 in the blocks. Images may be of any size that can be
    halved to 4 to 7 pixels, square or not; others raise ``ValueError``. Features (N, F), scores (N,).

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, appendix B; Gulrajani et
    al., "Improved Training of Wasserstein GANs", 2017.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int | None,
            Field(ge=1, description="channels after the first block; left out: 128 up to 32 pixels, 64 above"),
        ] = None,
        max_channels: Annotated[
            int | None,
            Field(
                ge=1,
                description="no block is wider; each doubles the channels up to it; left out: channels up to 32 "
                "pixels, 16 times that above",
            ),
        ] = None,
        base: Annotated[
            int | None,
            Field(ge=1, description="shorter side of the last map; left out: the paper's, 8 for 32x32 and 2 for 64x64"),
        ] = None,
        plain_blocks: Annotated[
            int | None,
            Field(ge=0, description="blocks that follow and do not halve; left out: 2 up to 32 pixels, above 0 or 1"),
        ] = None,
        pooling: Annotated[Literal["sum", "mean"], Field(description="over all places; the mean is WGAN-GP's")] = "sum",
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the head's too, by its largest singular value")
        ] = True,
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = paper_halvings(shape) if base is None else halvings(shape, base)
        if plain_blocks is None:
            plain_blocks = 2 if min(shape[-2:]) <= 32 else int(min(shape[-2:]) >> depth > 2)
        wide = widths(shape, depth + plain_blocks, channels, max_channels, small=128)
        inputs = self.input_channels(shape, condition, conditional)
        blocks: dict[str, nn.Module] = {}
        for level, (given, made) in enumerate(zip([inputs, *wide], wide)):
            hidden = given if level else made
            blocks[f"level{level}"] = DownBlock(given, made, hidden, halve=level < depth, first=level == 0)
        blocks["features"] = PooledFeatures(pooling)
        glorot = partial(initialise, weights="glorot")
        self.assemble(blocks, head(wide[-1], condition), conditional, spectral_norm, glorot)
