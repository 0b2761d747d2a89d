"""``discriminator: unet``."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from ganvas import Critique, Discriminator, Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator
from ganvas_plugins.layers import beside, halvings, normalise_spectrally


class UnetDiscriminator(Discriminator):
    """Judges the whole image, and every pixel of it in the light of the whole.

    An encoder of residual blocks halves the image until the shorter side is 4 to 7 pixels (C, 2C, 4C, ... channels, up
    to ``max_channels``); its last map, summed over all places, has one score. A decoder doubles it back, and takes in
    the encoder's map of each resolution; each pixel of its last map has a score.

    Scores (N, 2H, W): in the upper half the pixels', in the lower half the image's own score as many times. So the mean
    that a loss takes is half of the paper's L_enc + L_dec, whatever the loss. Features (N, F) are the encoder's;
    ``layers`` are its maps, the decoder's (from coarse to fine), and ``pixels``, the map of scores (N, 1, H, W). The
    paper trains it with ``regularizer: cutmix``. Without batch norm a score is one sample's own.

    Raises:
        ValueError: the sizes cannot be halved so, or the head gives more than scores.

    Source: Schönfeld, Schiele and Khoreva, "A U-Net Based Discriminator for Generative Adversarial Networks", 2020,
    section 3.1; the blocks from Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis",
    2019, appendix B.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels of the first level; the next ones double them")
        ] = 64,
        max_channels: Annotated[int, Field(ge=1, description="no layer is wider than this")] = 1024,
        norm: Annotated[
            Literal["spectral", "none"], Field(description="normalisation of all weights, the heads' included")
        ] = "spectral",
        head: Annotated[
            Use[Head], Field(description="what turns features into scores; one for the image, one for its pixels")
        ] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        inputs = TrunkDiscriminator.input_channels(shape, condition, conditional)
        widths = [min(max_channels, channels * 2**level) for level in range(depth)]
        self.encoder = nn.ModuleDict()
        for level, width in enumerate(widths):
            self.encoder[f"encoder{level}"] = ResidualBlock(
                widths[level - 1] if level else inputs, width, "down", first=level == 0
            )
        self.decoder = nn.ModuleDict()
        coarser = widths[-1]
        for level in reversed(range(depth)):
            finer = widths[level - 1] if level else channels
            self.decoder[f"decoder{level}"] = ResidualBlock(coarser, finer, "up")
            coarser = 2 * finer  # with the encoder's map of that resolution beside it
        self.head, self.pixels = head(widths[-1], condition), head(channels, condition)
        if self.head.gives or type(self.head).terms is not Head.terms:
            raise ValueError(
                "unet has a head for the image and one for its pixels and puts their scores side by side; it cannot "
                f"do so with what else {type(self.head).__name__} gives; use head: linear"
            )
        self.layers = (*self.encoder, *self.decoder, "pixels")
        self.concatenates = conditional
        self.conditional = conditional or self.head.conditional
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        maps = beside(samples, condition) if self.concatenates and condition is not None else samples
        layers: dict[str, Tensor] = {}
        for name, block in self.encoder.items():
            layers[name] = maps = block(maps)
        features = relu(maps).sum((2, 3))
        for level, (name, block) in zip(reversed(range(len(self.encoder))), self.decoder.items(), strict=True):
            layers[name] = maps = block(maps)
            if level > 0:
                maps = torch.cat([maps, layers[f"encoder{level - 1}"]], dim=1)
        image = self.head(features, condition).scores
        pixels = self.pixels(relu(maps), condition).scores
        layers["pixels"] = pixels[:, None]
        scores = torch.cat([pixels, image[:, None, None].expand_as(pixels)], dim=1)
        return Critique(scores, features=features, layers=layers)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip; halves a map by averaging or doubles it by repetition.

    (N, I, H, W) -> (N, O, H/2, W/2) or (N, O, 2H, 2W). ReLU before each convolution, but not on the image (``first``).
    """

    def __init__(self, inputs: int, outputs: int, resample: Literal["down", "up"], *, first: bool = False) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.two = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)
        self.resample, self.first = resample, first

    def forward(self, maps: Tensor) -> Tensor:
        inside = maps if self.first else relu(maps)
        if self.resample == "up":
            maps = interpolate(maps, scale_factor=2)
            return self.two(relu(self.one(interpolate(inside, scale_factor=2)))) + self.skip(maps)
        return avg_pool2d(self.two(relu(self.one(inside))), 2) + self.skip(avg_pool2d(maps, 2))
