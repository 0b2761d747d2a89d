"""Augmentation ``simclr-views``: random crops, flips, colours and blur, drawn for each image."""

from typing import Annotated

from pydantic import Field

from ganvas_plugins.augmentations.views import (
    Flip,
    Grayscale,
    JitterProbability,
    Range,
    Ratio,
    Views,
    by_size,
)


class SimclrViews(Views):
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
    A side of a crop that would not fit is as long as the image's. What is left out of the spec is the paper's choice
    for ImageNet: ``scale`` from 0.08, s = 1, blurred with probability 0.5; for images with a shorter side under 64
    pixels, its choice for CIFAR-10, s = 0.5 and no blur, with ``scale`` from 0.5, which keeps digits readable.
    Digits and letters want ``flip: 0``. All numbers come from ``rng``, and a view depends on its own image only.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, appendices A
    and B.9.
    """

    def __init__(
        self,
        *,
        scale: Annotated[
            Range | None,
            Field(
                description="smallest and largest share of the area that a crop keeps; if none, [0.08, 1], and "
                "[0.5, 1] for images under 64 pixels"
            ),
        ] = None,
        ratio: Ratio = (3 / 4, 4 / 3),
        flip: Flip = 0.5,
        jitter: Annotated[
            float | None,
            Field(
                ge=0,
                le=1,
                description="strength s of the colour changes; if none, 1, and 0.5 for images under 64 pixels",
            ),
        ] = None,
        jitter_probability: JitterProbability = 0.8,
        grayscale: Grayscale = 0.2,
        blur: Annotated[
            float | None,
            Field(ge=0, le=1, description="probability of a blur; if none, 0.5, and 0 for images under 64 pixels"),
        ] = None,
    ) -> None:
        super().__init__(
            scale=by_size(scale, small=(0.5, 1.0), large=(0.08, 1.0)),
            ratio=ratio,
            flip=flip,
            jitter=tuple((0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s) for s in by_size(jitter, small=0.5, large=1.0)),
            jitter_probability=jitter_probability,
            grayscale=grayscale,
            blur=by_size(blur, small=0.0, large=0.5),
            solarize=0.0,
        )
