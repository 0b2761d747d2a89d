"""Augmentation ``moco-views``: random crops, flips, colours and blur, as the second version of MoCo draws them."""

from typing import Annotated

from pydantic import Field

from ganvas_plugins.augmentations.views import (
    Brightness,
    Contrast,
    Flip,
    Grayscale,
    Hue,
    JitterProbability,
    Range,
    Ratio,
    Saturation,
    Views,
    by_size,
)


class MocoViews(Views):
    """The views of MoCo v2: those of SimCLR with gentler crops and colours.

    In this order, drawn for each image:

    1. a crop of ``scale`` times the area with a logarithmically uniform aspect ratio, resized bilinearly to the image's
       size, and a horizontal flip;
    2. with ``jitter_probability``: brightness, contrast and saturation, each b x + (1 - b) y with b uniform in 1 ± its
       strength, where y is black, the image's mean grey, the grey image; then a rotation of the hue;
    3. with probability ``grayscale``: the grey image;
    4. with probability ``blur``: a Gaussian, sigma uniform in [0.1, 2], as wide as a tenth of the shorter side.

    Images of one channel skip what needs colours; those with neither one nor three channels get steps 1 and 4 only.
    What is left out of the spec is the paper's choice for ImageNet; images with a shorter side under 64 pixels are not
    blurred and keep at least 0.5 of their area, so that digits stay readable. Those want ``flip: 0``, too.

    Source: Chen et al., "Improved Baselines with Momentum Contrastive Learning", 2020, section 3; the strengths of the
    colours are those of the published training script.
    """

    def __init__(
        self,
        *,
        scale: Annotated[
            Range | None,
            Field(
                description="smallest and largest share of the area that a crop keeps; if none, [0.2, 1], and "
                "[0.5, 1] for images under 64 pixels"
            ),
        ] = None,
        ratio: Ratio = (3 / 4, 4 / 3),
        flip: Flip = 0.5,
        brightness: Brightness = 0.4,
        contrast: Contrast = 0.4,
        saturation: Saturation = 0.4,
        hue: Hue = 0.1,
        jitter_probability: JitterProbability = 0.8,
        grayscale: Grayscale = 0.2,
        blur: Annotated[
            float | None,
            Field(ge=0, le=1, description="probability of a blur; if none, 0.5, and 0 for images under 64 pixels"),
        ] = None,
    ) -> None:
        jitter = (brightness, contrast, saturation, hue)
        super().__init__(
            scale=by_size(scale, small=(0.5, 1.0), large=(0.2, 1.0)),
            ratio=ratio,
            flip=flip,
            jitter=(jitter, jitter),
            jitter_probability=jitter_probability,
            grayscale=grayscale,
            blur=by_size(blur, small=0.0, large=0.5),
            solarize=0.0,
        )
