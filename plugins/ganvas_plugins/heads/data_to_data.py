"""``head: data-to-data``."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Scheduled
from ganvas_plugins.heads.similarity import SimilarityHead


class DataToData(SimilarityHead):
    """Beside the score, samples are pulled to their class and pushed from those of others: the D2D-CE loss (ReACGAN).

        ℓ_i = -log( exp([f_i·v_i - m_p]₋ / τ) / (exp([f_i·v_i - m_p]₋ / τ) + Σ_{j: y_j≠y_i} exp([f_i·f_j - m_n]₊ / τ)) )

    with [·]₋ = min(·, 0) and [·]₊ = max(·, 0), averaged over a batch: of reals, times ``discriminator_weight``, in the
    discriminator's update, of fakes, times ``generator_weight``, in the generator's. f_i embeds sample i and v_i its
    condition, both of unit length and linear in the features (averaged over the places of maps) and in the condition;
    τ is the ``temperature``. A sample closer to its class than m_p = ``positive_margin``, or two samples of different
    classes farther apart than m_n = ``negative_margin``, are easy and have no gradient any more. Conditions that are
    equal in all numbers are one class, so each combination of attributes is a class of its own. A sample
    alone in its batch has nothing to be compared with, and costs nothing.

    The critique carries ``embeddings`` (N, ``embedding``); the scores are those of ``head``, which may be conditional
    too. The defaults are the authors' for CIFAR-10.

    Raises:
        ValueError: the discriminator is given no condition, or a part of it is continuous.

    Source: Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training", 2021, section 3.
    """

    term = "data-to-data"

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        discriminator_weight: Annotated[
            Scheduled, Field(ge=0, description="λ_D, weight of the term in the discriminator's update")
        ] = 0.5,
        generator_weight: Annotated[
            Scheduled, Field(ge=0, description="λ_G, weight of the term in the generator's update")
        ] = 0.5,
        temperature: Annotated[float, Field(gt=0, description="τ, divides the cosines")] = 0.5,
        positive_margin: Annotated[
            float, Field(ge=-1, le=1, description="m_p, the cosine to its class from which on a sample is easy")
        ] = 0.98,
        negative_margin: Annotated[
            float, Field(ge=-1, le=1, description="m_n, the cosine to samples of other classes up to which it is easy")
        ] = 0.02,
        **options: Any,
    ) -> None:
        super().__init__(
            features,
            condition,
            discriminator_weight=discriminator_weight,
            generator_weight=generator_weight,
            **options,
        )
        self.temperature = temperature
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin

    def contrast(self, to_proxy: Tensor, to_others: Tensor, alike: Tensor) -> Tensor:
        positive = (to_proxy - self.positive_margin).clamp(max=0) / self.temperature
        negative = (to_others - self.negative_margin).clamp(min=0) / self.temperature
        logits = torch.cat([positive[:, None], negative.masked_fill(alike, float("-inf"))], dim=1)
        return (logits.logsumexp(1) - positive).mean()
