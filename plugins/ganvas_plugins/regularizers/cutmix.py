"""``regularizer: cutmix``."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Duel, Match, Regularizer, Scheduled


class CutMix(Regularizer):
    """A pixel's score shall not depend on whether what lies beyond a cut is real or fake.

        λ E[‖ s(mix(x, G(z), M)) - mix(s(x), s(G(z)), M) ‖²],    mix(a, b, M) = M a + (1 - M) b,    λ = ``weight``

    s are the scores of the pixels, averaged over them, and M is one but for a rectangle of zeros: its share of the
    image is uniform in [0, 1], its sides have the image's proportions, and its place is uniform too, with what leaves
    the image cut off. x and G(z) are mixed as the discriminator saw them, augmented.

    Raises:
        ValueError: the discriminator has no scores of pixels, or is conditional while a fake's condition is not that of
            the real image it is mixed with.

    Source: Schönfeld, Schiele and Khoreva, "A U-Net Based Discriminator for Generative Adversarial Networks", 2020,
    section 3.2; the rectangles from Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", 2019.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan.discriminator": {"use": "unet"},
        "stages.gan.regularizers": [...],
    }

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        if "pixels" not in getattr(duel.discriminator, "layers", ()):
            raise ValueError(
                f"{type(duel.discriminator).__name__} has no scores of pixels that cutmix could compare; "
                "use discriminator: unet, or leave out cutmix"
            )
        if duel.discriminator.conditional and not duel.paired:
            raise ValueError(
                "cutmix mixes a real image with a fake, and a conditional discriminator cannot judge what has two "
                "conditions; set fakes: batch"
            )

    def penalty(self, match: Match) -> Tensor:
        real, fake = match.critique("real"), match.critique("fake")
        mask = cut(real.samples, match.step.rng)
        # The scores differ by less than lower precision can tell, so all of them are computed anew then.
        lowered = torch.is_autocast_enabled(real.samples.device.type)
        with torch.autocast(real.samples.device.type, enabled=False):
            if lowered:
                real, fake = (match.criticise(seen.samples.float(), seen.condition) for seen in (real, fake))
            mixed = match.criticise(_mix(real.samples, fake.samples, mask), real.condition)
            wanted = _mix(real.layers["pixels"], fake.layers["pixels"], mask)
            return (mixed.layers["pixels"] - wanted).square().mean()


def cut(images: Tensor, rng: torch.Generator) -> Tensor:
    """Masks (N, 1, H, W) for images (N, C, H, W): one, but zero in a rectangle."""
    number, _, *sides = images.shape
    share = torch.rand(number, generator=rng, device=rng.device)
    inside = torch.ones(number, 1, 1, 1, dtype=torch.bool, device=rng.device)
    for axis, side in enumerate(sides):
        middle = torch.rand(number, generator=rng, device=rng.device) * side
        pixels = torch.arange(side, device=rng.device) + 0.5
        near = (pixels - middle[:, None]).abs() < share.sqrt()[:, None] * side / 2
        inside = inside & (near[:, None, :, None] if axis == 0 else near[:, None, None, :])
    return (~inside).float()


def _mix(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask.bool(), real, fake)
