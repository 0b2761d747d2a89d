"""``translator: resnet``."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ganvas import Translator
from ganvas_plugins.layers import initialise


class ResnetTranslator(Translator):
    """Image to image through residual blocks at a quarter of the size.

    A 7x7 convolution to C channels, two strided 3x3 ones to 2C and 4C, residual blocks, two transposed ones back to 2C
    and C, a 7x7 convolution and tanh. Instance norm without learned scale and shift, ReLU, reflection padding, no
    dropout. Weights start from N(0, 0.02). Sides must divide by 4, so that the output has the input's size. The
    condition is not used.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017,
    section 7.1; the network from Johnson et al., "Perceptual Losses for Real-Time Style Transfer", 2016.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[int, Field(ge=1, description="channels at full resolution")] = 64,
        blocks: Annotated[
            int | None, Field(ge=0, description="residual blocks; none given: 6 up to 128 pixels, 9 above")
        ] = None,
        inputs: Annotated[
            int | None, Field(ge=1, description="channels of the images it reads; none given: as many as it makes")
        ] = None,
    ) -> None:
        super().__init__()
        self.sample_shape = tuple(shape)
        height, width = shape[-2:]
        if height % 4 or width % 4 or min(height, width) < 8:
            fits = " or ".join(
                f"[{max(8, -(-(height - less) // 4) * 4)}, {max(8, -(-(width - less) // 4) * 4)}]" for less in (3, 0)
            )
            raise ValueError(
                f"images of {height}x{width} do not come back to their size; both sides must divide by 4 and be at "
                f"least 8: set the dataset's size to {fits}"
            )
        blocks = blocks if blocks is not None else (6 if max(height, width) <= 128 else 9)
        inputs = inputs if inputs is not None else shape[0]
        half, quarter = 2 * channels, 4 * channels
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(inputs, channels, 7, bias=False)),
            *_normed(nn.Conv2d(channels, half, 3, stride=2, padding=1, bias=False)),
            *_normed(nn.Conv2d(half, quarter, 3, stride=2, padding=1, bias=False)),
            *(ResidualBlock(quarter) for _ in range(blocks)),
            *_normed(nn.ConvTranspose2d(quarter, half, 3, stride=2, padding=1, output_padding=1, bias=False)),
            *_normed(nn.ConvTranspose2d(half, channels, 3, stride=2, padding=1, output_padding=1, bias=False)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels, shape[0], 7),
            nn.Tanh(),
        )
        initialise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(images)


class ResidualBlock(nn.Module):
    """x + f(x), f two reflection-padded 3x3 convolutions with instance norm, ReLU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(channels, channels, 3, bias=False)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


def _normed(convolution: nn.Module) -> list[nn.Module]:
    """A convolution with instance norm (which takes away any bias) and ReLU."""
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()]
