"""``regularizer: r1``."""

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from ganvas import Duel, Match, Regularizer, Scheduled


class R1(Regularizer):
    """Gradient penalty at the real samples: the discriminator is to be flat on the data.

        R1 = (γ / 2) E[‖∇ₓ s(x)‖²],    x real, γ = ``weight``

    s is the score (the mean over the patches, where there are several), the norm runs over all of a sample's numbers,
    and the gradient goes through the augmentation. Papers differ in constants: ``half`` is the ½, ``every`` n computes
    it lazily, ``rescale`` multiplies it by n then, ``own_step`` gives it an optimizer step of its own. StyleGAN2: every
    16, half, rescaled, own step; because of that step its Adam has lr · c and both betas to the power of c,
    c = 16 / 17. EigenGAN: weight 10, every 3, not half, rescaled. InfoSCC-GAN: weight 10, every 16, own step, neither
    half nor rescaled.

    Source: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?", 2018, equation 9.
    """

    wants = frozenset({"real"})

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="γ, the strength")] = 10.0,
        half: Annotated[bool, Field(description="the factor ½ of the paper")] = True,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        self.factor = 0.5 if half else 1.0

    def penalty(self, match: Match) -> Tensor:
        (which,) = self.wants
        return self.factor * match.gradients(which).flatten(1).square().sum(1).mean()
