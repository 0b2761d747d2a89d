"""``discriminator: dcgan``."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import halvings, initialise, normalisation


class DcganDiscriminator(TrunkDiscriminator):
    """One score per image, from strided convolutions: the mirror image of ``generator: dcgan``.

    Strided convolutions to C, 2C, 4C, ... channels until the shorter side is 4 to 7 pixels, leaky ReLU (0.2), batch
    norm on all but the first; the last map, flattened, goes to the head. The paper's network for 64x64 is
    ``channels: 128, kernel: 5``; the common port is the default. Weights start from N(0, 0.02), the head's included.
    Sizes that cannot be halved so raise ``ValueError``. Features (N, F), scores (N,).

    Batch norm mixes the samples of a batch: reals and fakes are judged apart, and a gradient penalty needs
    ``norm: none``.

    Source: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", 2016, section 3.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels of the first layer; the next ones double them")
        ] = 64,
        kernel: Annotated[Literal[4, 5], Field(description="size of the convolutions; the paper's code has 5")] = 4,
        norm: Annotated[
            Literal["batch", "none"], Field(description="normalisation after all layers but the first")
        ] = "batch",
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the head's too, by its largest singular value")
        ] = False,
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        widths = [self.input_channels(shape, condition, conditional), *(channels * 2**level for level in range(depth))]
        blocks: dict[str, nn.Module] = {}
        for level in range(depth):
            normed = norm if level > 0 else "none"
            blocks[f"level{level}"] = nn.Sequential(
                nn.Conv2d(
                    widths[level],
                    widths[level + 1],
                    kernel,
                    stride=2,
                    padding=(kernel - 1) // 2,
                    bias=normed == "none",
                ),
                normalisation(normed, widths[level + 1]),
                nn.LeakyReLU(0.2),
            )
        blocks["features"] = nn.Flatten()
        places = (shape[-2] >> depth) * (shape[-1] >> depth)
        self.assemble(blocks, head(widths[-1] * places, condition), conditional, spectral_norm, initialise)
