"""``loss: feature-matching``."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Critique, Loss, Terms, Use, gather
from ganvas_plugins.losses.wrapping import WrappingLoss, named


class FeatureMatching(WrappingLoss):
    """The generator matches the mean features of the real samples; the discriminator plays the loss that is wrapped.

    With the discriminator's layers h_l, w = ``weight``, a = ``adversarial`` and the wrapped loss's generator side L,

        L_G = w Σ_l ‖E[h_l(x_real)] - E[h_l(x_fake)]‖² + a L.

    ``squared`` sums the squares over the features, as the paper has it, and averages them over the places of a map, so
    that its size changes nothing; ``absolute`` is the mean of the absolute differences over all units, as in the
    authors' code. E is the mean over the batch, in float32. Without ``layers`` it is the features that the head judges
    that are matched, the last of the layers where a critique carries no features. ``ganvas check`` names the layers of
    a discriminator when it is asked for one that does not exist. The generator's side judges the reals too, which
    costs a forward pass of the discriminator.

    Raises:
        ValueError: no layer is named, and the critiques carry neither features nor layers.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016, section 3.1.
    """

    def __init__(
        self,
        *,
        loss: Annotated[Use[Loss], Field(description="the discriminator's side, and what is kept of the other")] = (
            "non-saturating"
        ),
        layers: Annotated[
            list[str] | None,
            Field(min_length=1, description="names of the layers to match; what the head judges if none"),
        ] = None,
        distance: Annotated[
            Literal["squared", "absolute"], Field(description="what is taken of the differences of the means")
        ] = "squared",
        weight: Annotated[float, Field(gt=0, description="factor of the matching")] = 1.0,
        adversarial: Annotated[float, Field(ge=0, description="factor of the wrapped loss's generator side")] = 0.0,
    ) -> None:
        super().__init__(loss)
        self.matched = tuple(layers or ())
        self.layers = (*self.matched, *self.layers)
        self.squared = distance == "squared"
        self.weight = weight
        self.adversarial = adversarial

    def generator(self, fake: Critique, real: Critique) -> Terms:
        distances = [self._distance(*pair) for pair in zip(self._features(real), self._features(fake), strict=True)]
        terms: Terms = {"feature_matching": self.weight * torch.stack(distances).sum()}
        if self.adversarial:
            wrapped = named(self.loss.generator(fake, real))
            terms |= {name: self.adversarial * term for name, term in wrapped.items()}
        return terms

    def _features(self, critique: Critique) -> list[Tensor]:
        if self.matched:
            return [critique.layers[name] for name in self.matched]
        if critique.features is not None:
            return [critique.features]
        if critique.layers:
            return [list(critique.layers.values())[-1]]
        raise ValueError(
            "feature-matching finds neither features nor layers in the critiques; use another discriminator"
        )

    def _distance(self, real: Tensor, fake: Tensor) -> Tensor:
        """Of features (N, F, *S)."""
        gap = _mean(real) - _mean(fake)
        return gap.square().sum(0).mean() if self.squared else gap.abs().mean()


def _mean(features: Tensor) -> Tensor:
    """Over the batch, in float32 at least: the difference of two means is small beside them."""
    mean = features.mean(0, dtype=torch.promote_types(features.dtype, torch.float32))
    return gather(mean[None]).mean(0)
