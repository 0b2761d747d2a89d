"""Transforms of a batch, each applied to each image with a probability: the steps of adaptive augmentation.

Images (N, C, H, W) of any size, values in [-1, 1], which they may leave. Everything is differentiable twice with
respect to the images, works on the batch at once and waits for no device.

Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, appendix B.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ganvas_plugins.augmentations.views import column

SHIFT = 0.125  # largest whole-pixel shift, and the deviation of the other, as shares of a side
SCALE = 0.2  # deviations of the logarithms, in octaves: of the sizes,
CONTRAST, SATURATION, BAND = 0.5, 1.0, 1.0  # of the contrast, the saturation, the strength of a band
BRIGHTNESS, NOISE = 0.2, 0.1  # deviations, of values in [-1, 1]
CUTOUT = 0.5  # side of the box, as a share of the image's
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of an image in each band of frequencies, from the lowest: 1/f


class Draws:
    """Random numbers for the images of a batch: all of shape (N,).

    Args:
        number: N.
        probability: p, a tensor ().
        rng: their source.
        dtype: their type.
    """

    def __init__(self, number: int, probability: Tensor, rng: torch.Generator, dtype: torch.dtype) -> None:
        self.number, self.probability, self.rng = number, probability, rng
        self.kind: dict[str, Any] = {"generator": rng, "device": rng.device, "dtype": dtype}

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(self.number, **self.kind)

    def normal(self) -> Tensor:
        return torch.randn(self.number, **self.kind)

    def octaves(self, deviation: float) -> Tensor:
        """A factor whose logarithm is normal: 2^(deviation n)."""
        return torch.exp2(deviation * self.normal())

    def where(self, share: float, values: Tensor, otherwise: float, *, twice: bool = False) -> Tensor:
        """The values with probability p ``share``, or otherwise; ``twice``, if two draws together have it."""
        probability = self.probability * share
        chosen = self.uniform() < (1 - (1 - probability).sqrt() if twice else probability)
        return torch.where(chosen, values, otherwise)


class Affine:
    """A map of places in the plane for each image, x ↦ A x + t, which grows at its inner end.

    Args:
        number: of images; at first each map is the identity.
    """

    def __init__(self, number: int, **kind: Any) -> None:
        self.matrix = torch.eye(2, **kind).expand(number, 2, 2)
        self.offset = torch.zeros(number, 2, **kind)

    def after(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> None:
        """First x ↦ [[a, b], [c, d]] x."""
        inner = torch.stack([a, b, c, d], 1).view(-1, 1, 2, 2)
        # Sums of products by hand: a matrix product may be rounded to fewer digits on a GPU.
        self.matrix = (self.matrix.unsqueeze(3) * inner).sum(2)

    def after_turn(self, angle: Tensor) -> None:
        self.after(angle.cos(), -angle.sin(), angle.sin(), angle.cos())

    def after_shift(self, x: Tensor, y: Tensor) -> None:
        self.offset = self.offset + (self.matrix * torch.stack([x, y], 1).unsqueeze(1)).sum(2)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates (1, H, W) -> (N, H, W)."""
        m, t = self.matrix[..., None, None], self.offset[..., None, None]
        return m[:, 0, 0] * x + m[:, 0, 1] * y + t[:, 0], m[:, 1, 0] * x + m[:, 1, 1] * y + t[:, 1]


def moved(images: Tensor, draw: Draws, blitting: float, geometry: float) -> Tensor:
    """Flips, turns, scales and shifts images (N, C, H, W)."""
    height, width = images.shape[2:]
    # Where a pixel of the result comes from: the inverses of the steps, the first step's outermost.
    source = Affine(len(images), device=images.device, dtype=images.dtype)
    one, zero = torch.ones_like(source.offset[:, 0]), torch.zeros_like(source.offset[:, 0])
    if blitting:
        source.after(draw.where(blitting, torch.where(draw.uniform() < 0.5, -one, one), 1), zero, zero, one)
        quarters = draw.where(blitting, draw.uniform(0, 4).floor().clamp(max=3), 0)
        cosine = torch.where(quarters == 3, 0, 1 - quarters)
        sine = torch.where(quarters == 3, -1, quarters * (2 - quarters))
        source.after(cosine, -sine, sine, cosine)
        shifted = draw.where(blitting, one, 0)
        x, y = ((draw.uniform(-SHIFT, SHIFT) * side).round() for side in (width, height))
        source.after_shift(x * shifted, y * shifted)
    if geometry:
        size = draw.where(geometry, draw.octaves(SCALE), 1)
        source.after(1 / size, zero, zero, 1 / size)
        source.after_turn(draw.where(geometry, draw.uniform(-math.pi, math.pi), 0, twice=True))
        stretch = draw.where(geometry, draw.octaves(SCALE), 1)
        source.after(1 / stretch, zero, zero, stretch)
        source.after_turn(draw.where(geometry, draw.uniform(-math.pi, math.pi), 0, twice=True))
        shifted = draw.where(geometry, one, 0)
        x, y = (SHIFT * side * draw.normal() for side in (width, height))
        source.after_shift(x * shifted, y * shifted)
    x, y = (torch.arange(side, device=images.device, dtype=images.dtype) - (side - 1) / 2 for side in (width, height))
    x, y = source(x.view(1, 1, -1), y.view(1, -1, 1))
    return resampled(images, x + (width - 1) / 2, y + (height - 1) / 2)


def resampled(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear values of images (N, C, H, W) at places (N, H', W'), counted in pixels; beyond the borders mirrored.

    By gathering, whose backward pass is differentiable again and, on a GPU too, has a deterministic version.
    """
    height, width = images.shape[2:]
    x, y = mirrored(x, width), mirrored(y, height)
    left, top = x.floor(), y.floor()
    flat, total = images.flatten(2), None
    for i, down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for j, across in ((left, 1 - (x - left)), (left + 1, x - left)):
            # A neighbour beyond the border mirrors the pixel at it.
            place = i.clamp(0, height - 1).long() * width + j.clamp(0, width - 1).long()
            values = flat.gather(2, place.flatten(1)[:, None].expand(-1, images.shape[1], -1))
            part = values * (down * across).flatten(1)[:, None]
            total = part if total is None else total + part
    assert total is not None
    return total.view(*images.shape[:2], *x.shape[1:])


def mirrored(places: Tensor, size: int) -> Tensor:
    """Places on a line of ``size`` pixels that is mirrored at both borders for ever -> in [-1/2, size - 1/2]."""
    return size - ((places + 0.5).remainder(2 * size) - size).abs() - 0.5


def recoloured(images: Tensor, draw: Draws, share: float) -> Tensor:
    """Changes brightness, contrast, luma, hue and saturation of images (N, C, H, W)."""
    brightness = BRIGHTNESS * draw.where(share, draw.normal(), 0)
    contrast = draw.where(share, draw.octaves(CONTRAST), 1)
    inverted = draw.where(share, (draw.uniform() < 0.5).to(images.dtype), 0)
    images = column(contrast) * (images + column(brightness))
    # The axis of greys has direction (1, ..., 1): the mean is what lies along it, the tint what is perpendicular.
    mean = images.mean(1, keepdim=True)
    tint = images - mean
    images = images - 2 * column(inverted) * mean
    angle = draw.where(share, draw.uniform(-math.pi, math.pi), 0)
    saturation = draw.where(share, draw.octaves(SATURATION), 1)
    if images.shape[1] != 3:
        return images + column(saturation - 1) * tint
    # A rotation about that axis: cos(angle) tint + sin(angle) (axis x tint).
    turned = (tint.roll(1, 1) - tint.roll(-1, 1)) / math.sqrt(3)
    return images + column(saturation * angle.cos() - 1) * tint + column(saturation * angle.sin()) * turned


def filtered(images: Tensor, draw: Draws, share: float, bands: Tensor) -> Tensor:
    """Makes bands of frequencies, kernels (B, K), of images (N, C, H, W) stronger or weaker, at equal power."""
    number, channels = images.shape[:2]
    gains = torch.ones(number, len(POWER), device=images.device, dtype=images.dtype)
    for band, share_of_power in enumerate(POWER):
        factor = draw.where(share, draw.octaves(BAND), 1)
        gains[:, band] *= factor
        gains = gains / (1 + share_of_power * (factor.square() - 1)).sqrt().unsqueeze(1)
    kernels = (gains[:, :, None] * bands.to(gains)).sum(1)
    reach = kernels.shape[1] // 2
    kernels = kernels.repeat_interleave(channels, 0)[:, None, None]
    for axis, shaped in ((3, kernels), (2, kernels.transpose(2, 3))):
        places = torch.arange(-reach, images.shape[axis] + reach, device=images.device, dtype=images.dtype)
        padded = images.index_select(axis, mirrored(places, images.shape[axis]).round().long())
        rows = padded.reshape(1, number * channels, *padded.shape[2:])
        images = conv2d(rows, shaped, groups=number * channels).view(number, channels, *images.shape[2:])
    return images


def octaves() -> Tensor:
    """Kernels (4, 43) that split a line into octaves of frequencies, from the lowest to the highest; their sum is 1.

    With the symmetric low pass P(ω) = H(ω) H(-ω) / 2, H the second of Daubechies' orthogonal filters, they are
    P(ω) P(2ω) P(4ω), P(ω) P(2ω) (1 - P(4ω)), P(ω) (1 - P(2ω)) and 1 - P(ω).
    """
    root = math.sqrt(3)
    half = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * math.sqrt(2))
    low = np.convolve(half, half[::-1]) / 2
    passed, split = np.ones(1), []
    for octave in range(3):
        spread = np.zeros((len(low) - 1) * 2**octave + 1)
        spread[:: 2**octave] = low
        lower = np.convolve(passed, spread)
        split.append(np.pad(passed, (len(lower) - len(passed)) // 2) - lower)
        passed = lower
    kernels = (passed, *reversed(split))
    return torch.from_numpy(np.stack([np.pad(band, (len(passed) - len(band)) // 2) for band in kernels]))


def cut_out(images: Tensor, draw: Draws, share: float) -> Tensor:
    """Sets a box of each image (N, C, H, W) to zero."""
    half = CUTOUT / 2 * draw.where(share, torch.ones(len(images), device=images.device, dtype=images.dtype), 0)
    inside = []
    for side in images.shape[2:]:
        places = (torch.arange(side, device=images.device, dtype=images.dtype) + 0.5) / side
        inside.append((places - draw.uniform()[:, None]).abs() < half[:, None])
    return images * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


def noised(images: Tensor, draw: Draws, share: float) -> Tensor:
    """Adds noise of a deviation of its own to each image (N, C, H, W)."""
    strength = NOISE * draw.where(share, draw.normal().abs(), 0)
    return images + column(strength) * torch.randn(images.shape, **draw.kind)
