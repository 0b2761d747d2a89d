"""``sampler: truncation``."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Sampler, Stage


class Truncation(Sampler):
    """Truncation trick: latents near the prior's mean make better samples that differ less from one another.

    With ψ = ``strength``, for each number z of the latents (priors here have mean zero),

        pull:      z' = ψ z,   or for a generator with styles w' = w̄ + ψ (w - w̄), w̄ the mean style,
        resample:  z' ~ p(z | |z| <= τ),   P(|z| <= τ) = ψ,

    so that ψ = 1 is plain sampling and ψ = 0 gives one image per condition. ``resample`` is what drawing again whatever
    is beyond a threshold τ leads to, with the innermost share ψ of the prior kept: for a normal prior τ = √2 erf⁻¹(ψ)
    (τ = 0.5 is ψ = 0.383, τ = 1 is ψ = 0.683, τ = 2 is ψ = 0.954), for a uniform one over [-1, 1] τ = ψ, which makes
    both methods the same. Nothing is drawn twice: z moves to the same quantile of what is kept,
    z' = √2 erf⁻¹(ψ erf(z / √2)), so the images of one seed correspond at all strengths.

    Source: Marchesi, "Megapixel Size Image Creation using Generative Adversarial Networks", 2017; Brock et al., "Large
    Scale GAN Training for High Fidelity Natural Image Synthesis", 2019, section 3.1 (resample); Karras et al., "A
    Style-Based Generator Architecture for Generative Adversarial Networks", 2019, appendix B (pull, of styles).
    """

    def __init__(
        self,
        stage: Stage,
        *,
        strength: Annotated[
            float, Field(ge=0, le=1, description="1 is plain sampling, 0 one image per condition")
        ] = 0.7,
        method: Annotated[
            Literal["pull", "resample"],
            Field(description="scale all latents or styles, or draw again the latents in the tails of the prior"),
        ] = "pull",
    ) -> None:
        super().__init__(stage)
        self.strength = strength
        self.method = method

    def draw(self, number: int, condition: Tensor | None, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        latents, condition = self.stage.algorithm.draw(number, condition, rng)
        if self.method == "resample":
            latents = self.stage.algorithm.products()["generator"].latents.confine(latents, self.strength)
        return latents, condition

    def generate(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        strength = self.strength if self.method == "pull" else 1.0
        return self.stage.algorithm.generate(latents, condition, truncation=strength)

    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        return self.generate(*self.draw(number, condition, rng))
