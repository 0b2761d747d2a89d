"""``regularizer: mode-seeking``."""

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from ganvas import Duel, Match, Regularizer, Scheduled, gather
from ganvas_plugins.regularizers.parts import require_latents


class ModeSeeking(Regularizer):
    """Asks that latents which differ make samples which differ: a generator that ignores its latents pays most.

        λ / (d(G(z₁, y), G(z₂, y)) / d(z₁, z₂) + ε),    λ = ``weight``, ε = ``eps``

    z₁ are the latents of the batch, z₂ others, drawn anew, under the same conditions y; d is the mean absolute
    difference, over the numbers of a sample and over the batch. The paper maximises the ratio; its inverse, which its
    authors minimise, cannot run away.

    Raises:
        ValueError: the generator has no latents (it is a translator).

    Source: Mao et al., "Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis", 2019,
    section 3.
    """

    joins = frozenset({"generator"})

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 1.0,
        eps: Annotated[
            float, Field(gt=0, description="ε; a generator that ignores its latents costs its inverse")
        ] = 1e-5,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        require_latents(duel, "mode-seeking", "leave out mode-seeking")
        self.eps = eps

    def penalty(self, match: Match) -> Tensor:
        others = match.step.sample(match.duel.generator.latents.sample, len(match.latents))
        moved = _mean(match.generate(others).float() - match.fake.float())
        # The fraction turned over: latents that happen to be alike make no division by zero.
        distance = _mean(others - match.latents)
        return distance / (moved + self.eps * distance)


def _mean(differences: Tensor) -> Tensor:
    """The mean absolute difference, over the batch of all processes."""
    return gather(differences.abs().mean()[None]).mean()
