"""``discriminator: r3gan``."""

from typing import Annotated

from pydantic import Field
from torch import nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import halvings
from ganvas_plugins.resampling import Filter
from ganvas_plugins.resnext import ResNextBlock, draw


class R3GanDiscriminator(TrunkDiscriminator):
    """Residual blocks with grouped convolutions and no normalisation: the mirror image of ``generator: r3gan``.

    A 1x1 convolution to C channels; ``blocks`` residual blocks (``ResNextBlock``) at each resolution, between them
    bilinear halving and a 1x1 convolution where the channels change, until the shorter side is 4 to 7 pixels; a window
    of that size for each channel by itself; the head. The paper's network for 256x256 is the default, with ``channels``
    96; that for CIFAR-10 has ``channels`` 768. Sizes that cannot be halved so raise ``ValueError``. Features (N, F),
    scores (N,), each one sample's own.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024, section 4 (config E).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels at full resolution; each halving doubles them")
        ] = 96,
        max_channels: Annotated[int, Field(ge=1, description="no level is wider than this")] = 768,
        blocks: Annotated[int, Field(ge=1, description="residual blocks at each resolution")] = 2,
        expansion: Annotated[int, Field(ge=1, description="how much wider a block is inside")] = 2,
        group_size: Annotated[int, Field(ge=1, description="channels that a 3x3 convolution mixes")] = 16,
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        widths = [min(max_channels, channels * 2**level) for level in range(depth + 1)]
        inputs = self.input_channels(shape, condition, conditional)
        parts: dict[str, nn.Module] = {"stem": draw(nn.Conv2d(inputs, widths[0], 1, bias=False))}
        for level, width in enumerate(widths):
            layers: list[nn.Module] = []
            if level > 0:
                layers.append(Filter((1, 2, 1), "down"))
                if width != widths[level - 1]:
                    layers.append(draw(nn.Conv2d(widths[level - 1], width, 1, bias=False)))
            layers += [
                ResNextBlock(width, expansion=expansion, group_size=group_size, blocks=blocks * len(widths))
                for _ in range(blocks)
            ]
            parts[f"level{level}" if level < depth else "base"] = nn.Sequential(*layers)
        last = widths[-1]
        window = nn.Conv2d(last, last, (shape[-2] >> depth, shape[-1] >> depth), groups=last, bias=False)
        parts["features"] = nn.Sequential(draw(window), nn.Flatten())
        self.assemble(parts, head(last, condition), conditional)
