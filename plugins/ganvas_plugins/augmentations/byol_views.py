"""Augmentation ``byol-views``: BYOL's two kinds of views, one often blurred, the other sometimes solarised."""

from typing import Annotated, Literal

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


class ByolViews(Views):
    """The views of BYOL: the first of a pair is always blurred, the second seldom, but sometimes solarised.

    In this order, drawn for each image:

    1. a crop of ``scale`` times the area with a logarithmically uniform aspect ratio, resized bilinearly to the image's
       size, and a horizontal flip;
    2. with ``jitter_probability``: brightness, contrast and saturation, each b x + (1 - b) y with b uniform in 1 ± its
       strength, where y is black, the image's mean grey, the grey image; then a rotation of the hue;
    3. with probability ``grayscale``: the grey image;
    4. with probability ``blur``: a Gaussian, sigma uniform in [0.1, 2], as wide as a tenth of the shorter side;
    5. with probability ``solarize``: x where x < 1/2, else 1 - x, of values in [0, 1].

    A pair is written ``augmentation: [{use: byol-views, view: first}, {use: byol-views, view: second}]``. Images of one
    channel skip what needs colours; those with neither one nor three channels skip steps 2 and 3. What is left out of
    the spec is the paper's choice for ImageNet; images with a shorter side under 64 pixels are not blurred and keep at
    least 0.5 of their area, so that digits stay readable. Those want ``flip: 0``, too.

    Two details differ from the paper: crops are resized bilinearly and not bicubically, and the colours change in this
    order and not in a random one.

    Source: Grill et al., "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", 2020, appendix B,
    table 6.
    """

    def __init__(
        self,
        *,
        view: Annotated[
            Literal["first", "second"], Field(description="which of the pair: it decides on blur and solarisation")
        ],
        scale: Annotated[
            Range | None,
            Field(
                description="smallest and largest share of the area that a crop keeps; if none, [0.08, 1], and "
                "[0.5, 1] for images under 64 pixels"
            ),
        ] = None,
        ratio: Ratio = (3 / 4, 4 / 3),
        flip: Flip = 0.5,
        brightness: Brightness = 0.4,
        contrast: Contrast = 0.4,
        saturation: Saturation = 0.2,
        hue: Hue = 0.1,
        jitter_probability: JitterProbability = 0.8,
        grayscale: Grayscale = 0.2,
        blur: Annotated[
            float | None,
            Field(
                ge=0,
                le=1,
                description="probability of a blur; if none, 1 in the first view and 0.1 in the second, and 0 for "
                "images under 64 pixels",
            ),
        ] = None,
        solarize: Annotated[
            float | None,
            Field(
                ge=0,
                le=1,
                description="probability of inverting what is brighter than mid-grey; if none, 0 in the first view "
                "and 0.2 in the second",
            ),
        ] = None,
    ) -> None:
        jitter = (brightness, contrast, saturation, hue)
        usual_blur, usual_solarize = {"first": (1.0, 0.0), "second": (0.1, 0.2)}[view]
        super().__init__(
            scale=by_size(scale, small=(0.5, 1.0), large=(0.08, 1.0)),
            ratio=ratio,
            flip=flip,
            jitter=(jitter, jitter),
            jitter_probability=jitter_probability,
            grayscale=grayscale,
            blur=by_size(blur, small=0.0, large=usual_blur),
            solarize=usual_solarize if solarize is None else solarize,
        )
