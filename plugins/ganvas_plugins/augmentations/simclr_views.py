"""Augmentation ``simclr-views``: random crops, flips, colours and blur, drawn for each image."""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Augmentation

SMALL = 64  # images with a shorter side below this many pixels are not blurred unless asked for

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in PIL


class SimclrViews(Augmentation):
    """The views of SimCLR: each image gets its own crop, flip, colour change, greyscale and blur.

    In this order:

    1. a crop of ``scale`` times the area with a logarithmically uniform aspect ratio, resized bilinearly to the image's
       size, and a horizontal flip: one resampling for both;
    2. with ``jitter_probability``: brightness, contrast and saturation, each b x + (1 - b) y with b uniform in
       1 ± 0.8 s, where y is black, the image's mean grey, the grey image; then a hue rotation of at most 0.2 s of a
       turn; s is ``jitter``;
    3. with probability ``grayscale``: the grey image;
    4. with probability ``blur``: a Gaussian, sigma uniform in [0.1, 2], as wide as a tenth of the shorter side.

    Images of one channel skip what needs colours; those with neither one nor three channels get steps 1 and 4 only.
    A side of a crop that would not fit is as long as the image's. The defaults are those for small images (scale from
    0.2, s = 0.5); the paper's for ImageNet are scale from 0.08 and s = 1. Digits and letters want ``flip: 0``.
    All numbers come from ``rng``, and a view depends on its own image only.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, appendix A.
    """

    differentiable = True

    def __init__(
        self,
        *,
        scale: Annotated[
            tuple[float, float], Field(description="smallest and largest share of the area that a crop keeps")
        ] = (0.2, 1.0),
        ratio: Annotated[
            tuple[float, float], Field(description="narrowest and widest aspect ratio (width over height) of a crop")
        ] = (3 / 4, 4 / 3),
        flip: Annotated[float, Field(ge=0, le=1, description="probability of a horizontal flip")] = 0.5,
        jitter: Annotated[float, Field(ge=0, le=1, description="strength s of the colour changes")] = 0.5,
        jitter_probability: Annotated[float, Field(ge=0, le=1, description="probability of changing colours")] = 0.8,
        grayscale: Annotated[float, Field(ge=0, le=1, description="probability of dropping the colours")] = 0.2,
        blur: Annotated[
            float | None,
            Field(ge=0, le=1, description="probability of a blur; if none, 0.5, and 0 for images under 64 pixels"),
        ] = None,
    ) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"scale needs 0 < smallest <= largest <= 1, not {list(scale)}; try [0.2, 1.0]")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio needs 0 < narrowest <= widest, not {list(ratio)}; try [0.75, 1.333]")
        self.scale = scale
        self.ratio = ratio
        self.flip = flip
        self.jitter = jitter
        self.jitter_probability = jitter_probability
        self.grayscale = grayscale
        self.blur = blur

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        number, channels, height, width = images.shape
        draws = torch.rand(13, number, generator=rng, device=images.device)
        views = crop(images, *self._boxes(draws[:4], height / width), draws[4] < self.flip)
        if channels in (1, 3) and self.jitter > 0 and self.jitter_probability > 0:
            changed = draws[5] < self.jitter_probability
            factors = torch.where(changed, 1 + 0.8 * self.jitter * (2 * draws[6:9] - 1), 1.0)
            turns = torch.where(changed, 0.2 * self.jitter * (2 * draws[9] - 1), 0.0)
            views = change_colours(views * 0.5 + 0.5, *factors, turns) * 2 - 1
        if channels == 3 and self.grayscale > 0:
            views = torch.where(_column(draws[10] < self.grayscale), grey(views), views)
        blur = self.blur if self.blur is not None else 0.5 * (min(height, width) >= SMALL)
        if blur > 0:
            blurred = gaussian_blur(views, 0.1 + 1.9 * draws[11], max(3, round(min(height, width) / 10) // 2 * 2 + 1))
            views = torch.where(_column(draws[12] < blur), blurred, views)
        return views

    def _boxes(self, draws: Tensor, image_ratio: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Centre x, centre y, width and height of each crop, as shares of the image's sides."""
        area = self.scale[0] + (self.scale[1] - self.scale[0]) * draws[0]
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = torch.exp(low + (high - low) * draws[1]) * image_ratio
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        return width / 2 + (1 - width) * draws[2], height / 2 + (1 - height) * draws[3], width, height


def crop(images: Tensor, x: Tensor, y: Tensor, width: Tensor, height: Tensor, flipped: Tensor) -> Tensor:
    """Cuts a box out of each image (centre and sides as shares of the image's), resizes it bilinearly, flips some."""
    zero = torch.zeros_like(x)
    across = torch.where(flipped, -width, width)
    affine = torch.stack([across, zero, 2 * x - 1, zero, height, 2 * y - 1], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(affine.to(images.dtype), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def grey(images: Tensor) -> Tensor:
    """The luma of (N, 3, H, W) in all three channels; images of one channel are grey."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def change_colours(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turns: Tensor) -> Tensor:
    """Brightness, contrast, saturation, hue, one factor each per image (hue in turns), on images in [0, 1]."""
    images = (images * _column(brightness)).clamp(0, 1)
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    images = torch.lerp(mean.expand_as(images), images, _column(contrast)).clamp(0, 1)
    if images.shape[1] == 1:
        return images
    images = torch.lerp(grey(images), images, _column(saturation)).clamp(0, 1)
    from kornia.enhance import adjust_hue  # here, because grey images need not wait for its import

    return adjust_hue(images, turns * (2 * math.pi)).clamp(0, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Blurs each image (N, C, H, W) by its own sigma (N,), with a kernel of ``size`` pixels and mirrored borders."""
    number, channels = images.shape[:2]
    places = torch.arange(size, device=images.device, dtype=images.dtype) - size // 2
    kernels = torch.exp(-0.5 * (places / sigma.unsqueeze(1)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0).unsqueeze(1).unsqueeze(1)
    padded = F.pad(images, (size // 2,) * 4, mode="reflect")
    rows = padded.view(1, number * channels, *padded.shape[2:])
    rows = F.conv2d(rows, kernels, groups=number * channels)
    return F.conv2d(rows, kernels.transpose(2, 3), groups=number * channels).view(images.shape)


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
