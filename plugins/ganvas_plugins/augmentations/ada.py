"""``augmentation: ada``."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas_plugins.augmentations.adaptive import Adaptive
from ganvas_plugins.augmentations.transforms import Draws, cut_out, filtered, moved, noised, octaves, recoloured


class Ada(Adaptive):
    """Adaptive discriminator augmentation: whatever the discriminator sees is changed with a probability p that adapts.

    Each of these is drawn for each image, with probability p times the share of its group:

    - ``blitting``: a horizontal flip; 0 to 3 quarter turns; a shift by whole pixels, up to 1/8 of each side;
    - ``geometry``: a scaling 2^(0.2 n); a rotation by any angle; a stretching 2^(0.2 n) across and 2^(-0.2 n) down;
      another rotation; a shift by n/8 of each side. The two rotations have the probability 1 - √(1 - p) each, so that
      an image stays upright with 1 - p;
    - ``color``: brightness x + 0.2 n; contrast 2^(0.5 n) x; the luma inverted, every other time; the hue turned by any
      angle about the axis of greys; saturation, 2^n times the distance from that axis;
    - ``filtering``: each of four octaves of frequencies made stronger or weaker by 2^n, at equal power;
    - ``noise`` of deviation 0.1 |n| in every pixel;
    - ``cutout``: a box of half of each side set to zero, centred anywhere,

    with n ~ N(0, 1), other draws uniform, and values in [-1, 1] (which they may leave). The first three are the paper's
    choice. Beyond its borders an image is its own mirror. p follows the sign of the real scores::

        r = E[sign(D(x))],  x real,    p ← cut(p + sign(r - ``target``) n / ``ramp``)

    after every ``every`` updates of the discriminator, over the n reals that it judged in them; cut limits to
    [0, ``maximum``]. As long as p is below about 0.8 the generator does not learn to make changed images.

    Images (N, C, H, W) of any size; the hue of those with other than three channels stays. All of it is differentiable
    (twice, for penalties) with respect to the images. All shifts, turns and sizes are one bilinear resampling, where
    the paper resamples at twice the resolution with a wavelet filter.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, section 3.1, appendix B.
    """

    def __init__(
        self,
        *,
        blitting: Annotated[float, Field(ge=0, le=1, description="flips, quarter turns, shifts: share of p")] = 1.0,
        geometry: Annotated[float, Field(ge=0, le=1, description="sizes, rotations, shifts: share of p")] = 1.0,
        color: Annotated[float, Field(ge=0, le=1, description="brightness to saturation: share of p")] = 1.0,
        filtering: Annotated[float, Field(ge=0, le=1, description="bands of frequencies: share of p")] = 0.0,
        noise: Annotated[float, Field(ge=0, le=1, description="noise in every pixel: share of p")] = 0.0,
        cutout: Annotated[float, Field(ge=0, le=1, description="a box set to zero: share of p")] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.blitting, self.geometry, self.color = blitting, geometry, color
        self.filtering, self.noise, self.cutout = filtering, noise, cutout
        self.bands: Tensor
        self.register_buffer("bands", octaves(), persistent=False)

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        # In float32 at least: a place in an image needs more digits than half precision has.
        with torch.autocast(images.device.type, enabled=False):
            changed = images.float() if images.dtype in (torch.bfloat16, torch.float16) else images
            draw = Draws(len(images), self.probability, rng, changed.dtype)
            if self.blitting or self.geometry:
                changed = moved(changed, draw, self.blitting, self.geometry)
            if self.color:
                changed = recoloured(changed, draw, self.color)
            if self.filtering:
                changed = filtered(changed, draw, self.filtering, self.bands)
            if self.noise:
                changed = noised(changed, draw, self.noise)
            if self.cutout:
                changed = cut_out(changed, draw, self.cutout)
            return changed.to(images.dtype)
