"""``sampler: top-k``."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Stage
from ganvas_plugins.samplers.judged import JudgedSampler

BATCH = 256


class TopK(JudgedSampler):
    """More candidates are drawn than are wanted, and those with the best scores are kept.

    For n samples of one condition ⌈n / q⌉ candidates are drawn under it, with q = ``share``, and the n are kept whose
    scores D(x) are the largest; q = 1 keeps them all. Every condition keeps its number of samples, so no class is
    preferred; where each sample has a condition of its own, each is the best of ⌈1 / q⌉. Unlike rejection it never
    fails to end, but what scores low is never drawn: quality is bought with diversity, the more the smaller q is.

    Patch scores are averaged.

    Source: none for sampling alone; the discriminator's best k are those of Sinha et al., "Top-k Training of GANs:
    Improving GAN Performance by Throwing Away Bad Samples", 2020, Algorithm 1, which trains on them.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        share: Annotated[float, Field(gt=0, le=1, description="q, of the candidates that is kept")] = 0.5,
    ) -> None:
        super().__init__(stage)
        self.share = share

    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        algorithm, device = self.stage.algorithm, rng.device
        if condition is None:
            condition = algorithm.condition.sample(number, rng)
        if condition is None:
            rows, group = None, torch.zeros(number, dtype=torch.long, device=device)
        else:
            rows, group = condition.unique(dim=0, return_inverse=True)
        wanted = group.bincount()
        # A whisker less before rounding up: 3 of a share of 0.3 are 10 candidates, whatever 3 / 0.3 is in floats.
        drawn = torch.ceil(wanted.double() / self.share - 1e-9).long()
        owner = torch.repeat_interleave(torch.arange(len(drawn), device=device), drawn)
        latents = self.latents(len(owner), rng)
        rows = None if rows is None else rows[owner]
        parts = torch.arange(len(owner), device=device).split(BATCH)
        scores = torch.cat([self.judged(latents[part], None if rows is None else rows[part])[1] for part in parts])
        best = scores.argsort(descending=True)
        best = best[owner[best].argsort(stable=True)]  # by condition, and there by score
        rank = torch.arange(len(owner), device=device) - (drawn.cumsum(0) - drawn)[owner]
        kept = best[rank < wanted[owner]].sort().values  # as they were drawn, not the best ones first
        chosen = torch.empty_like(kept)
        chosen[group.argsort(stable=True)] = kept
        return algorithm.generate(latents[chosen], condition)
