"""``regularizer: template-name``."""

from typing import Annotated, Any

from ganvas import Duel, Match, Regularizer, Scheduled
from pydantic import Field
from torch import Tensor


class Template(Regularizer):
    """Keeps the scores of the reals near zero, so that the discriminator's output does not drift away.

        R = ε E[s(x)²],    x real,    ε = ``weight``

    A loss of differences of scores (Wasserstein's, a relativistic one) says nothing about their level; this does, and
    hardly anything else. The mean runs over the batch and, for patch scores, over the map.

    Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018, appendix
    A.1 (ε = 0.001).
    """

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="ε, the strength")] = 0.001,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)

    def penalty(self, match: Match) -> Tensor:
        return match.critique("real").scores.square().mean()
