"""``discriminator: patch``."""

from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import initialise, normalisation


class PatchDiscriminator(TrunkDiscriminator):
    """One score per overlapping patch: a fully convolutional network whose scores each see a part of the image.

    ``layers`` 4x4 convolutions of stride 2 (C, 2C, 4C, ... channels, at most 8C), one of stride 1, and the head, by
    default a 4x4 window as well. All but the first are normalised; leaky ReLU (0.2). With the default head a score sees
    16, 34, 70 or 142 pixels each way for 1, 2, 3 or 4 layers, and a 256x256 image has 30x30 scores at 3 layers. Weights
    start from N(0, 0.02), the head's included. Features (N, F, h, w).

    Batch norm mixes the samples of a batch: a gradient penalty needs ``norm: none`` or ``instance``.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017, section 6.1.2.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels of the first layer; the next ones double them")
        ] = 64,
        layers: Annotated[int, Field(ge=1, le=8, description="layers that halve the image; more see more of it")] = 3,
        norm: Annotated[
            Literal["batch", "instance", "none"], Field(description="normalisation after all layers but the first")
        ] = "batch",
        head: Annotated[
            Use[Head], Field(description="what turns the feature map into a map of scores")
        ] = MappingProxyType({"use": "linear", "kernel": 4}),
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the head's too, by its largest singular value")
        ] = False,
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        shorter = min(shape[-2:])
        if shorter < 3 * 2**layers:
            fitting = max((n for n in range(1, layers) if shorter >= 3 * 2**n), default=None)
            remedy = f"set layers to {fitting} or use" if fitting else "use"
            raise ValueError(
                f"images of {shape[-2]}x{shape[-1]} leave no patch after {layers} layers; "
                f"{remedy} images of at least {3 * 2**layers} pixels each way"
            )
        widths = [channels * min(8, 2**level) for level in range(layers + 1)]
        inputs = self.input_channels(shape, condition, conditional)
        first = nn.Conv2d(inputs, widths[0], 4, stride=2, padding=1)
        blocks: dict[str, nn.Module] = {"level0": nn.Sequential(first, nn.LeakyReLU(0.2))}
        for level in range(1, layers + 1):
            stride = 2 if level < layers else 1
            blocks[f"level{level}"] = nn.Sequential(
                # A normalisation subtracts the mean, and with it any bias.
                nn.Conv2d(widths[level - 1], widths[level], 4, stride=stride, padding=1, bias=norm == "none"),
                normalisation(norm, widths[level]),
                nn.LeakyReLU(0.2),
            )
        self.assemble(blocks, head(widths[-1], condition), conditional, spectral_norm, initialise)
