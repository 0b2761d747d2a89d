"""``discriminator: stylegan2``."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.equalised import ScaledLeakyReLU, equalise
from ganvas_plugins.heads.minibatch_stddev import group_deviations
from ganvas_plugins.layers import halvings
from ganvas_plugins.resampling import Filter


class StyleGan2Discriminator(TrunkDiscriminator):
    """Residual blocks without normalisation, and a look at how much the samples of a batch differ.

    A 1x1 convolution to C channels; then, until the shorter side is 4 to 7 pixels, residual blocks that halve the image
    and double the channels (up to ``max_channels``), y = (F(x) + S(x)) / √2 with two 3x3 convolutions in F and a 1x1
    one in S, filtered by [1, 3, 3, 1] before they halve; the deviation over ``group_size`` samples as a further map; a
    3x3 convolution; a dense layer; the head. Leaky ReLU (0.2) times √2; all weights, the head's included, have an
    equalised learning rate. The paper's config F has ``channels`` 32 for 1024x1024 images, 64 for 512x512, 128 for
    256x256. Sizes that cannot be halved so raise ``ValueError``. Features (N, F), scores (N,); a score depends on the
    others of its group, unless ``group_size`` is 1.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, section 4 and appendix B; the
    deviation from "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018, section 3.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels at full resolution; each halving doubles them")
        ] = 32,
        max_channels: Annotated[int, Field(ge=1, description="no layer is wider than this")] = 512,
        group_size: Annotated[
            int, Field(ge=1, description="samples that are compared with one another; 1 compares none")
        ] = 4,
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        widths = [min(max_channels, channels * 2**level) for level in range(depth + 1)]
        inputs = self.input_channels(shape, condition, conditional)
        blocks: dict[str, nn.Module] = {"stem": nn.Sequential(nn.Conv2d(inputs, widths[0], 1), ScaledLeakyReLU())}
        for level in range(depth):
            blocks[f"level{level}"] = ResidualBlock(widths[level], widths[level + 1])
        last = widths[-1]
        places = (shape[-2] >> depth) * (shape[-1] >> depth)
        blocks["base"] = nn.Sequential(
            GroupDeviation(group_size), nn.Conv2d(last + 1, last, 3, padding=1), ScaledLeakyReLU()
        )
        blocks["features"] = nn.Sequential(nn.Flatten(), nn.Linear(last * places, last), ScaledLeakyReLU())
        self.assemble(blocks, head(last, condition), conditional, initialise=equalise)


class ResidualBlock(nn.Module):
    """Halves a map: (N, I, H, W) -> (N, O, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        taps = (1, 3, 3, 1)
        self.main = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=1),
            ScaledLeakyReLU(),
            Filter(taps, "same", padding=2),
            nn.Conv2d(inputs, outputs, 3, stride=2),
            ScaledLeakyReLU(),
        )
        self.skip = nn.Sequential(Filter(taps, "down"), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, maps: Tensor) -> Tensor:
        return (self.main(maps) + self.skip(maps)) / math.sqrt(2)


class GroupDeviation(nn.Module):
    """One more map, constant over an image: the deviation within its group of samples, averaged over all places.

    (N, C, H, W) -> (N, C + 1, H, W); groups as in ``head: minibatch-stddev``.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, maps: Tensor) -> Tensor:
        deviation = group_deviations(maps.float(), self.group_size, 1).to(maps.dtype)
        return torch.cat([maps, deviation[:, :, None, None].expand(-1, -1, *maps.shape[-2:])], dim=1)
