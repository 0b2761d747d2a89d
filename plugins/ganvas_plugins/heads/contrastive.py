"""``head: contrastive``."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from ganvas_plugins.heads.similarity import SimilarityHead


class Contrastive(SimilarityHead):
    """Beside the score, samples are pulled to their class and to one another within it: the 2C loss (ContraGAN).

        ℓ_i = -log( (p_i + Σ_{k≠i, y_k=y_i} exp(l_i·l_k / t)) / (p_i + Σ_{k≠i} exp(l_i·l_k / t)) ),
        p_i = exp(l_i·e_i / t)

    averaged over a batch: of reals, times ``discriminator_weight``, in the discriminator's update, of fakes, times
    ``generator_weight``, in the generator's. l_i embeds sample i and e_i its condition, both of unit length and linear
    in the features (averaged over the places of maps) and in the condition; t is the ``temperature``. Conditions that
    are equal in all numbers are one class, so each combination of attributes is a class of its own. A sample
    alone in its batch has nothing to be compared with, and costs nothing.

    The critique carries ``embeddings`` (N, ``embedding``); the scores are those of ``head``, which may be conditional
    too.

    Raises:
        ValueError: the discriminator is given no condition, or a part of it is continuous.

    Source: Kang & Park, "ContraGAN: Contrastive Learning for Conditional Image Generation", 2020, section 3.
    """

    term = "contrastive"

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        temperature: Annotated[float, Field(gt=0, description="divides the cosines")] = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(features, condition, **options)
        self.temperature = temperature

    def contrast(self, to_proxy: Tensor, to_others: Tensor, alike: Tensor) -> Tensor:
        others = ~torch.eye(len(alike), dtype=torch.bool, device=alike.device)
        logits = torch.cat([to_proxy[:, None], to_others], dim=1) / self.temperature
        # The proxy is in both sums.
        both = [pad(chosen, (1, 0), value=True) for chosen in (others & alike, others)]
        alike_sum, all_sum = (logits.masked_fill(~chosen, float("-inf")).logsumexp(1) for chosen in both)
        return (all_sum - alike_sum).mean()
