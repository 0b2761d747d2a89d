"""``regularizer: lecam``."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Duel, Match, Regularizer, Scheduled, gather


class LeCam(Regularizer):
    """Holds the scores of each side near the moving average of the other side's, so that few data are not memorised.

        λ (E[(s(x) - α_fake)²] + E[(s(G(z)) - α_real)²]),    λ = ``weight``

    with α_real and α_fake the running means of the scores in the discriminator's steps,

        α ← d α + (1 - d) mean of the batch's scores,    d = ``decay``

    without the bias of their start, this batch included. Under the Wasserstein loss it bounds what the discriminator
    can tell apart by the LeCam divergence. ``rectified`` leaves out reals below α_fake and fakes above α_real, where
    the term would push the wrong way: the equation of the paper does not, its authors' code does. Iterations before
    ``start`` only track. Scores of patches (N, h, w) are averaged like the batch. The authors' λ is 0.3 under the hinge
    loss on CIFAR and 0.01 on ImageNet.

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", 2021, equation 4.
    """

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 0.3,
        decay: Annotated[float, Field(ge=0, lt=1, description="d of the running means of the scores")] = 0.99,
        start: Annotated[
            int, Field(ge=0, description="first iteration with the term; set it to 0 in a training of few iterations")
        ] = 1000,
        rectified: Annotated[
            bool, Field(description="leave out reals that score below the fakes' mean and fakes above the reals'")
        ] = True,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        self.decay, self.start, self.rectified = decay, start, rectified
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))
        self.register_buffer("tracked", torch.zeros((), dtype=torch.int64))  # batches in the means

    def penalty(self, match: Match) -> Tensor | None:
        real, fake = match.critique("real").scores, match.critique("fake").scores
        self._track(gather(real.detach()).mean(), gather(fake.detach()).mean())
        if match.step.index < self.start:
            return None
        above, below = real - self.fake, self.real - fake
        if self.rectified:
            above, below = above.relu(), below.relu()
        return above.square().mean() + below.square().mean()

    @torch.no_grad()
    def _track(self, real: Tensor, fake: Tensor) -> None:
        self.tracked += 1
        share = (1 - self.decay) / (1 - self.decay**self.tracked)
        self.real.lerp_(real.to(self.real.dtype), share)
        self.fake.lerp_(fake.to(self.fake.dtype), share)
