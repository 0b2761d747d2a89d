"""``discriminator: unet``."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from ganvas import Critique, Discriminator, Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator, gives_more_than_scores
from ganvas_plugins.layers import beside, halvings, normalise_spectrally
from ganvas_plugins.residual import DownBlock, PooledFeatures, UpBlock


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
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the heads' too, by its largest singular value")
        ] = True,
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
        for level, (given, made) in enumerate(zip([inputs, *widths], widths)):
            self.encoder[f"encoder{level}"] = DownBlock(given, made, made, halve=True, first=level == 0)
        self.pool = PooledFeatures()
        self.decoder = nn.ModuleDict()
        coarser = widths[-1]
        for level in reversed(range(depth)):
            finer = widths[level - 1] if level else channels
            self.decoder[f"decoder{level}"] = UpBlock(coarser, finer, None)
            coarser = 2 * finer  # with the encoder's map of that resolution beside it
        self.head, self.pixels = head(widths[-1], condition), head(channels, condition)
        if gives_more_than_scores(self.head):
            raise ValueError(
                "unet has a head for the image and one for its pixels and puts their scores side by side; it cannot "
                f"do so with what else {type(self.head).__name__} gives; use head: linear"
            )
        self.layers = (*self.encoder, *self.decoder, "pixels")
        self.concatenates = conditional
        self.conditional = conditional or self.head.conditional
        if spectral_norm:
            normalise_spectrally(self)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        maps = beside(samples, condition) if self.concatenates and condition is not None else samples
        layers: dict[str, Tensor] = {}
        for name, block in self.encoder.items():
            layers[name] = maps = block(maps)
        features = self.pool(maps)
        for level, (name, block) in zip(reversed(range(len(self.encoder))), self.decoder.items(), strict=True):
            layers[name] = maps = block(maps)
            if level > 0:
                maps = torch.cat([maps, layers[f"encoder{level - 1}"]], dim=1)
        image = self.head(features, condition).scores
        pixels = self.pixels(relu(maps), condition).scores
        layers["pixels"] = pixels[:, None]
        scores = torch.cat([pixels, image[:, None, None].expand_as(pixels)], dim=1)
        return Critique(scores, features=features, layers=layers)
