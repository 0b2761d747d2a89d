"""``regularizer: consistency``."""

from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Augmentation, Duel, Match, Regularizer, Terms, Use
from ganvas_plugins.regularizers.parts import require_latents


class Consistency(Regularizer):
    """Asks for the same score before and after a change that means nothing: to an image, or to its latents.

    On the discriminator's side, with T the ``augmentation`` and δ ~ N(0, σ²) of the latents' shape,

        ``cr``:   λ_r E[(s(x) - s(T(x)))²],    x real
        ``bcr``:  cr + λ_f E[(s(G(z)) - s(T(G(z))))²]
        ``zcr``:  λ_d E[(s(G(z)) - s(G(z + δ)))²],    and on the generator's    -λ_g E[(G(z) - G(z + δ))²]
        ``icr``:  bcr + zcr

    where λ_r, λ_f, λ_d, λ_g are ``real``, ``fake``, ``discriminator``, ``generator`` and σ is ``deviation``. E is the
    mean over the batch, and over patches and pixels where there are several. Both scores have gradients. T changes
    what the discriminator saw, after the stage's own augmentation; scores keep the sample's condition. By default T
    shifts by up to an eighth of each side; the papers mirror as well, which digits and letters do not survive.

    Raises:
        ValueError: the augmentation changes nothing, or latents are to be moved and the generator has none (it is a
            translator).

    Source: Zhang et al., "Consistency Regularization for Generative Adversarial Networks", 2020 (CR); Zhao et
    al., "Improved Consistency Regularization for GANs", 2021 (bCR, zCR, and both of them, ICR).
    """

    def __init__(
        self,
        duel: Duel,
        *,
        method: Annotated[
            Literal["cr", "bcr", "zcr", "icr"],
            Field(description="changed reals; reals and fakes; changed latents; or reals, fakes and latents"),
        ] = "bcr",
        augmentation: Annotated[
            Use[Augmentation], Field(description="the change of images that scores shall not depend on")
        ] = MappingProxyType({"use": "diffaugment", "color": False, "cutout": 0.0}),
        real: Annotated[float, Field(ge=0, description="λ_r, of the reals")] = 10.0,
        fake: Annotated[float, Field(ge=0, description="λ_f, of the fakes")] = 10.0,
        discriminator: Annotated[float, Field(ge=0, description="λ_d, of scores of nearby latents")] = 5.0,
        generator: Annotated[float, Field(ge=0, description="λ_g, of samples of nearby latents, which part")] = 0.5,
        deviation: Annotated[float, Field(gt=0, description="σ of the noise that moves latents")] = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(duel, **options)
        self.images = {"cr": {"real": real}, "zcr": {}}.get(method, {"real": real, "fake": fake})
        self.latents = method in ("zcr", "icr")
        self.discriminator, self.generator, self.deviation = discriminator, generator, deviation
        if self.latents:
            require_latents(duel, f"consistency with method: {method}", "use method: bcr")
            self.joins = frozenset({"discriminator", "generator"})
        if self.images:
            self.augmentation = augmentation()
            if self.augmentation.identity:
                raise ValueError(
                    f"consistency compares images with changed ones, and {type(self.augmentation).__name__} changes "
                    "nothing; give it an augmentation (diffaugment, say), or use method: zcr"
                )

    def penalty(self, match: Match) -> Terms:
        terms: Terms = {}
        if match.side == "discriminator":
            for which, weight in self.images.items():
                seen = match.critique(which)
                changed = self.augmentation(seen.samples.detach(), which, match.step.rng)
                scores = match.criticise(changed, seen.condition).scores
                terms[f"consistency-{which}"] = weight * _distance(seen.scores, scores)
        return terms | self._of_latents(match) if self.latents else terms

    def _of_latents(self, match: Match) -> Terms:
        rng, latents = match.step.rng, match.latents
        nearby = latents + self.deviation * torch.randn(latents.shape, generator=rng, device=rng.device)
        # What nearby latents make differs by less than lower precision can tell, so all of it is computed anew then.
        lowered = torch.is_autocast_enabled(latents.device.type)
        with torch.autocast(latents.device.type, enabled=False):
            here, there = match.generate(latents) if lowered else match.fake, match.generate(nearby)
            if match.side == "generator":
                return {"consistency-generator": -self.generator * _distance(here, there)}
            scores = self._judged(match, here) if lowered else match.critique("fake").scores
            difference = _distance(scores, self._judged(match, there))
            return {"consistency-discriminator": self.discriminator * difference}

    @staticmethod
    def _judged(match: Match, fakes: Tensor) -> Tensor:
        """The scores of samples as if they were the match's fakes."""
        augmentation = match.duel.augmentation
        fakes = fakes if augmentation is None else augmentation(fakes, "fake", match.step.rng)
        return match.criticise(fakes, match.condition_fake).scores


def _distance(first: Tensor, second: Tensor) -> Tensor:
    return (first.float() - second.float()).square().mean()
