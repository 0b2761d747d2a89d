"""``sampler: template-name``."""

from typing import Annotated

import torch
from ganvas import Algorithm, Sampler, Stage
from pydantic import Field
from torch import Tensor


class Template(Sampler):
    """Resampling by the discriminator: several candidates are made for each sample, and it draws one of them.

        x = G(z_i),    P(i) = exp(s_i / T) / Σ_j exp(s_j / T),    s_i = D(G(z_i)),    z_1 ... z_k from the prior

    k is ``candidates``, T is ``temperature``. For the best discriminator of the logistic loss exp(s) is the density of
    the data over that of the samples, so with T = 1 what is drawn comes nearer to the data the larger k is. A smaller T
    comes nearer to taking the best candidate. Patch scores are averaged. The candidates of one sample share its
    condition.

    Source: Grover et al., "Bias Correction of Learned Generative Models using Likelihood-Free Importance Weighting",
    2019, Algorithm 1 (sampling importance resampling).
    """

    def __init__(
        self,
        stage: Stage,
        *,
        candidates: Annotated[int, Field(ge=1, description="k, how many images are made for each sample")] = 8,
        temperature: Annotated[float, Field(gt=0, description="T, which the scores are divided by")] = 1.0,
    ) -> None:
        super().__init__(stage)
        self.candidates = candidates
        self.temperature = temperature

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        if lacking := {"generator", "discriminator"} - set(algorithm.gives):
            raise ValueError(f"resampling needs a stage that gives a {' and a '.join(sorted(lacking))}, such as gan")

    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        algorithm = self.stage.algorithm
        players = algorithm.products()
        if condition is None and algorithm.condition is not None:
            condition = algorithm.condition.sample(number, rng)
        best = torch.full((number,), -torch.inf, device=rng.device)
        kept: Tensor | None = None
        for _ in range(self.candidates):
            images = algorithm.generate(players["generator"].latents.sample(number, rng), condition)
            scores = players["discriminator"](images, condition).scores.float().reshape(number, -1).mean(1)
            # the largest of s / T plus Gumbel noise is a draw with those probabilities
            gumbel = -torch.empty(number, device=rng.device).exponential_(generator=rng).log()
            drawn = scores / self.temperature + gumbel
            kept = images if kept is None else torch.where((drawn > best)[:, None, None, None], images, kept)
            best = torch.maximum(best, drawn)
        return kept
