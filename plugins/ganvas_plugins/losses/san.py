"""``loss: san``."""

import copy
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from ganvas import Critique, Loss, Terms, Use
from ganvas_plugins.losses.wrapping import WrappingLoss, named


class San(WrappingLoss):
    """Slicing adversarial loss: any monotone loss, and a term that turns the last layer to where it tells best.

    A score is ⟨ω, h(x)⟩ with a direction ω of length 1 (``head: san``). The features h learn from the wrapped loss V
    as ever, the direction ω from the wrapped loss's generator side R, a function that never rises with a score:

        L_D = V(⟨sg(ω), h⟩) + λ (E[R(⟨ω, sg(h(x_real))⟩)] - E[R(⟨ω, sg(h(x_fake))⟩)]),    L_G = E[R(⟨ω, h(x_fake)⟩)],

    where sg lets no gradient pass and λ = ``weight``. R is -s under ``hinge`` and ``wasserstein``, softplus(-s) under
    ``non-saturating``, -softplus(s) under ``minimax``, softplus(1 - s)² under ``softplus-least-squares``. Both terms
    are descended in one step. The generator's side stays as it is.

    Raises:
        ValueError: the wrapped loss is not monotone, so that its best direction says nothing of the generator's side.

    Source: Takida et al., "SAN: Inducing Metrizability of GAN with Discriminative Normalized Linear Layer", 2024;
    for least squares Shibuya, Takida and Mitsufuji, "BigVSAN", 2024.
    """

    needs = frozenset({"direction"})
    example: ClassVar[Mapping[str, Any]] = {"stages.gan.loss": ..., "stages.gan.discriminator.head": "san"}

    def __init__(
        self,
        *,
        loss: Annotated[Use[Loss], Field(description="the loss that is converted; it must be monotone")] = "hinge",
        weight: Annotated[float, Field(gt=0, description="λ, the strength of the direction's term")] = 1.0,
    ) -> None:
        super().__init__(loss)
        if not self.loss.monotone:
            raise ValueError(
                f"san cannot convert {getattr(self.loss, 'component_name', type(self.loss).__name__)}: the generator's "
                "side must be the mean over the fakes of a function that never rises with a score; use "
                "softplus-least-squares for least squares, and put a loss that wraps others around san"
            )
        self.weight = weight

    def discriminator(self, real: Critique, fake: Critique) -> Terms:
        terms = named(self.loss.discriminator(real, fake))
        return terms | {"direction": self.weight * (self._wrapped_at(real) - self._wrapped_at(fake))}

    def generator(self, fake: Critique, real: Critique) -> Tensor | Terms:
        return self.loss.generator(fake, real)

    def _wrapped_at(self, critique: Critique) -> Tensor:
        """E[R] at scores through which only the direction learns."""
        judged = copy.copy(critique)
        judged.scores = critique.direction.to(critique.scores.dtype)
        return sum(named(self.loss.generator(judged, judged)).values())
