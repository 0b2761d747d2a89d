"""What the views of self-supervised methods share: their steps, whose strengths each method chooses, and operations.

Everything works on a batch at once, with numbers drawn for each image: there is no loop over images, and nothing waits
for the device. On a CPU this is about twice as fast as kornia's modules, as fast as those compiled or faster, and needs
no compiler; tools/bench_augmentation.py measures it.
"""

import math
from typing import Annotated, TypeVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Augmentation

SMALL = 64  # images with a shorter side below this many pixels are small: not blurred, and cropped less

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in PIL

T = TypeVar("T")
Range = tuple[float, float]

# Options that mean the same in every method.
Ratio = Annotated[Range, Field(description="narrowest and widest aspect ratio (width over height) of a crop")]
Flip = Annotated[float, Field(ge=0, le=1, description="probability of a horizontal flip")]
JitterProbability = Annotated[float, Field(ge=0, le=1, description="probability of changing colours")]
Grayscale = Annotated[float, Field(ge=0, le=1, description="probability of dropping the colours")]
Brightness = Annotated[float, Field(ge=0, le=1, description="largest change of the brightness, as a share of it")]
Contrast = Annotated[float, Field(ge=0, le=1, description="largest change of the contrast, as a share of it")]
Saturation = Annotated[float, Field(ge=0, le=1, description="largest change of the saturation, as a share of it")]
Hue = Annotated[float, Field(ge=0, le=0.5, description="largest rotation of the hue, in turns")]


class Views(Augmentation):
    """Each image gets its own crop, flip, colour change, greyscale, blur and solarisation.

    In this order:

    1. a crop of a uniform share of the area and a logarithmically uniform aspect ratio, resized bilinearly to the
       image's size, and a horizontal flip, in one resampling; a side that would not fit is as long as the image's;
    2. with ``jitter_probability``: brightness, contrast and saturation, each b x + (1 - b) y with b uniform in 1 ± its
       strength, where y is black, the image's mean grey, the grey image; then a rotation of the hue;
    3. with probability ``grayscale``: the grey image;
    4. with probability ``blur``: a Gaussian, sigma uniform in [0.1, 2], as wide as a tenth of the shorter side;
    5. with probability ``solarize``: x where x < 1/2, else 1 - x, of values in [0, 1].

    Images of one channel skip what needs colours; those with neither one nor three channels skip steps 2 and 3. All
    numbers come from ``rng``, and a view depends on its own image only.

    Args:
        scale: smallest and largest share of the area, for small images and for others; so are the other pairs.
        jitter: strengths of brightness, contrast, saturation and hue (in turns).
        blur: its probability.

    Raises:
        ValueError: a range that is empty.
    """

    differentiable = True

    def __init__(
        self,
        *,
        scale: tuple[Range, Range],
        ratio: Range,
        flip: float,
        jitter: tuple[tuple[float, ...], tuple[float, ...]],
        jitter_probability: float,
        grayscale: float,
        blur: tuple[float, float],
        solarize: float,
    ) -> None:
        super().__init__()
        for smallest, largest in scale:
            if not 0 < smallest <= largest <= 1:
                raise ValueError(f"scale needs 0 < smallest <= largest <= 1, not {[smallest, largest]}; try [0.2, 1.0]")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio needs 0 < narrowest <= widest, not {list(ratio)}; try [0.75, 1.333]")
        self.scale = scale
        self.ratio = ratio
        self.flip = flip
        self.jitter = jitter
        self.jitter_probability = jitter_probability
        self.grayscale = grayscale
        self.blur = blur
        self.solarize = solarize

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        number, channels, height, width = images.shape
        size = min(height, width)
        scale, jitter, blur = (pair[size >= SMALL] for pair in (self.scale, self.jitter, self.blur))
        draws = torch.rand(14, number, generator=rng, device=images.device)
        views = crop(images, *self._boxes(draws[:4], scale, height / width), draws[4] < self.flip)
        if channels in (1, 3) and any(jitter) and self.jitter_probability > 0:
            changed = draws[5] < self.jitter_probability
            changes = [most * changed * (2 * draw - 1) for most, draw in zip(jitter, draws[6:10])]
            views = change_colours(views, *(1 + change for change in changes[:3]), changes[3])
        if channels == 3 and self.grayscale > 0:
            views = torch.where(column(draws[10] < self.grayscale), grey(views), views)
        if blur > 0:
            blurred = gaussian_blur(views, 0.1 + 1.9 * draws[11], max(3, round(size / 10) // 2 * 2 + 1))
            views = torch.where(column(draws[12] < blur), blurred, views)
        if self.solarize > 0:
            views = torch.where(column(draws[13] < self.solarize), solarized(views), views)
        return views

    def _boxes(self, draws: Tensor, scale: Range, image_ratio: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Centre x, centre y, width and height of each crop, as shares of the image's sides."""
        area = scale[0] + (scale[1] - scale[0]) * draws[0]
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = torch.exp(low + (high - low) * draws[1]) * image_ratio
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        return width / 2 + (1 - width) * draws[2], height / 2 + (1 - height) * draws[3], width, height


def by_size(chosen: T | None, small: T, large: T) -> tuple[T, T]:
    """What small images and others get: what the spec chooses, or else what is usual for each."""
    return (small, large) if chosen is None else (chosen, chosen)


def crop(images: Tensor, x: Tensor, y: Tensor, width: Tensor, height: Tensor, flipped: Tensor) -> Tensor:
    """Cuts a box out of each image (centre and sides as shares of the image's), resizes it bilinearly, flips some."""
    zero = torch.zeros_like(x)
    across = torch.where(flipped, -width, width)
    affine = torch.stack([across, zero, 2 * x - 1, zero, height, 2 * y - 1], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(affine.to(images.dtype), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def grey(images: Tensor) -> Tensor:
    """The luma of (N, 3, H, W), as (N, 1, H, W); images of one channel are grey."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return torch.add(torch.add(LUMA[0] * red, green, alpha=LUMA[1]), blue, alpha=LUMA[2])


def change_colours(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turns: Tensor) -> Tensor:
    """Brightness, contrast, saturation, hue, one factor each per image (hue in turns), on images in [-1, 1]."""
    images = _blend(images, -torch.ones_like(column(brightness)), brightness)
    images = _blend(images, grey(images).mean((1, 2, 3), keepdim=True), contrast)
    if images.shape[1] == 1:
        return images
    return turn_hue(_blend(images, grey(images), saturation), turns)


def _blend(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """b x + (1 - b) y, cut to [-1, 1]."""
    share = column(share)
    return torch.addcmul(others * (1 - share), images, share).clamp(-1, 1)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Adds to the hue of each image (N, 3, H, W) its number of turns (N,); the range of values does not matter.

    A pixel's smallest channel m and chroma C = largest - m stay; with its hue h in sixths of a turn, 0 <= h < 6, red is
    m + C cut(|h - 3| - 1), green m + C cut(2 - |h - 2|), blue m + C cut(2 - |h - 4|), where cut limits to [0, 1].

    Source: Smith, "Color Gamut Transform Pairs", 1978: the hexagonal cone, there and back.
    """
    red, green, blue = images.unbind(1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    chroma = largest - smallest
    is_red, is_green = largest == red, largest == green
    ahead = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
    base = torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0)) + 6 * turns.view(-1, 1, 1)
    hue = base + ahead / torch.where(chroma > 0, chroma, 1)  # greys have no hue; theirs counts nothing
    hue = hue - 6 * (hue / 6).floor()
    shares = (hue - 3).abs() - 1, 2 - (hue - 2).abs(), 2 - (hue - 4).abs()
    return torch.stack([torch.addcmul(smallest, chroma, share.clamp(0, 1)) for share in shares], dim=1)


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


def solarized(images: Tensor) -> Tensor:
    """Inverts what is at least mid-grey: x where x < 0, else -x, of values in [-1, 1]."""
    return torch.where(images < 0, images, -images)


def column(values: Tensor) -> Tensor:
    """A number for each image, (N,) -> (N, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)
