"""``discriminator: global``."""

from typing import Annotated

from pydantic import Field
from torch import nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import halvings


class GlobalDiscriminator(TrunkDiscriminator):
    """One score per image, from convolutions without normalisation: safe under any gradient penalty.

    A 7x7 convolution to C channels; then, until the shorter side is 4 to 7 pixels, a 3x3 convolution and a strided one
    that halves the image and doubles the channels (up to ``max_channels``); a 3x3 convolution; a dense layer to as many
    features as there are channels; the head. Leaky ReLU (0.2) after every layer. Images may be of any size that can be
    halved so, square or not; others raise ``ValueError``. Features (N, F), scores (N,).

    Source: Kinakh et al., "InfoSCC-GAN: Stochastic Contrastive Conditional GAN for conditional image generation based
    on clustering and contrastive learning", 2021 (after He et al., "EigenGAN", 2021).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels at full resolution; each halving doubles them")
        ] = 16,
        max_channels: Annotated[int, Field(ge=1, description="no layer is wider than this")] = 512,
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the head's too, by its largest singular value")
        ] = False,
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        widths = [min(max_channels, channels * 2**level) for level in range(depth + 1)]
        inputs = self.input_channels(shape, condition, conditional)
        blocks: dict[str, nn.Module] = {"stem": nn.Sequential(nn.Conv2d(inputs, widths[0], 7, padding=3), _leaky())}
        for level in range(depth):
            blocks[f"level{level}"] = nn.Sequential(
                nn.Conv2d(widths[level], widths[level], 3, padding=1),
                _leaky(),
                nn.Conv2d(widths[level], widths[level + 1], 3, stride=2, padding=1),
                _leaky(),
            )
        last = widths[-1]
        places = (shape[-2] >> depth) * (shape[-1] >> depth)
        blocks["base"] = nn.Sequential(nn.Conv2d(last, last, 3, padding=1), _leaky())
        blocks["features"] = nn.Sequential(nn.Flatten(), nn.Linear(last * places, last), _leaky())
        self.assemble(blocks, head(last, condition), conditional, spectral_norm)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)
