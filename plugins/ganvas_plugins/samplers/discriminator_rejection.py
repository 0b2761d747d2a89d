"""``sampler: discriminator-rejection``."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Stage
from ganvas_plugins.samplers.judged import JudgedSampler


class DiscriminatorRejection(JudgedSampler):
    """Discriminator rejection sampling: what the discriminator takes for fake is drawn again.

    A sample x with the score s = D(x) is accepted with the probability p = σ(F(x)), where

        published:   F = s - M - log(1 - exp(s - M - ε)) - γ,    M = max s,
        threshold:   F = s - τ.

    A discriminator that is the best one of a logistic loss has s = log p_data(x) / p_generator(x); then γ = 0 gives
    p = exp(s - M), what is accepted is distributed like the data, and of all candidates exp(-M) are accepted. That can
    be very few. γ > 0 accepts fewer, γ < 0 more, and less faithfully; as a ``percentile`` of the candidates' F (before
    γ) it keeps the share of the accepted about the same for all discriminators. M is the largest score of ``burn_in``
    candidates, and rises when a later one exceeds it. ε keeps F finite where s = M.

    ``threshold`` needs neither M nor γ. τ belongs to one discriminator: 0.9 was chosen for a SAN discriminator under
    the hinge loss, 4.5 for a WGAN-GP critic. The scores of such losses are no log-ratios of densities; both variants
    then only prefer what scores high.

    Each sample keeps its condition: candidates for it are drawn until one is accepted. Patch scores are averaged.

    Raises:
        ValueError: a percentile below 1 (80 is meant, not 0.8); when sampling, too few candidates were accepted.

    Source: Azadi et al., "Discriminator Rejection Sampling", 2019; 80 is the percentile for its SAGAN, others take 95.
    The thresholded sigmoid is a practice of code.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        variant: Annotated[
            Literal["published", "threshold"], Field(description="compare with the best score seen, or with threshold")
        ] = "published",
        burn_in: Annotated[int, Field(ge=0, description="candidates that M is estimated from beforehand")] = 10_000,
        percentile: Annotated[
            float, Field(ge=0, le=100, description="γ is this percentile of the candidates' F, where gamma is none")
        ] = 80.0,
        gamma: Annotated[float | None, Field(description="γ itself; 0 is exact rejection sampling")] = None,
        epsilon: Annotated[float, Field(gt=0, description="ε, keeps F finite for the best score")] = 1e-8,
        threshold: Annotated[float, Field(description="τ of the variant threshold: accepted half of the time")] = 0.9,
        batch_size: Annotated[int, Field(ge=1, description="candidates judged together, whose percentile γ is")] = 256,
        tries: Annotated[int, Field(ge=1, description="give up after this many candidates per sample")] = 1000,
    ) -> None:
        super().__init__(stage)
        if 0 < percentile < 1:
            raise ValueError(f"percentile is in percent: write {100 * percentile:g}, not {percentile:g}")
        self.variant = variant
        self.burn_in = burn_in if variant == "published" else 0
        self.percentile = percentile
        self.gamma = gamma
        self.epsilon = epsilon
        self.threshold = threshold
        self.batch_size = batch_size
        self.tries = tries
        self._burned_in: Tensor | None = None  # of the stage and a seed of its own: computed once, then always the same
        self.start()

    def start(self) -> None:
        self.drawn = self.accepted = 0
        self._best = self._burned_in

    def report(self) -> str:
        return f"{self.accepted} of {self.drawn} candidates accepted" if self.drawn else ""

    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        algorithm = self.stage.algorithm
        if self._burned_in is None:
            self._burned_in = self._burn_in(rng.device)
            self._best = self._burned_in
        if condition is None:
            condition = algorithm.condition.sample(number, rng)
        waiting = torch.arange(number, device=rng.device)  # the samples that have no image yet
        kept: Tensor | None = None
        drawn = accepted = 0
        while len(waiting):
            if drawn >= self.tries * number:
                raise ValueError(self._too_few(accepted, drawn))
            # Several candidates for each sample, where few are waiting.
            places = torch.arange(self.batch_size, device=rng.device) % len(waiting)
            rows = None if condition is None else condition[waiting[places]]
            images, scores = self.judged(self.latents(self.batch_size, rng), rows)
            passed = torch.rand(self.batch_size, generator=rng, device=rng.device) < self.accept(scores)
            drawn, accepted = drawn + self.batch_size, accepted + int(passed.sum())
            if condition is None:  # any image is good for any sample
                chosen = passed.nonzero().flatten()[: len(waiting)]
                filled = torch.arange(len(chosen), device=rng.device)
            else:
                filled, chosen = _first(places[passed], passed.nonzero().flatten())
            kept = images.new_empty(number, *images.shape[1:]) if kept is None else kept
            kept[waiting[filled]] = images[chosen]
            left = torch.ones(len(waiting), dtype=torch.bool, device=rng.device)
            left[filled] = False
            waiting = waiting[left]
        self.drawn, self.accepted = self.drawn + drawn, self.accepted + accepted
        assert kept is not None
        return kept

    def accept(self, scores: Tensor) -> Tensor:
        """Probabilities (N,) of accepting candidates with these scores; the largest score so far may rise."""
        if self.variant == "threshold":
            return torch.sigmoid(scores.double() - self.threshold)
        # In float64: in float32 ε is nothing beside 1, and the best score's F infinite.
        scores = scores.double()
        self._best = scores.max() if self._best is None else torch.maximum(self._best, scores.max())
        below = scores - self._best
        value = below - torch.log(-torch.expm1(below - self.epsilon))
        gamma = torch.quantile(value, self.percentile / 100) if self.gamma is None else self.gamma
        return torch.sigmoid(value - gamma)

    def _burn_in(self, device: torch.device) -> Tensor:
        """The largest score of the first candidates."""
        best = torch.full((), -math.inf, dtype=torch.float64, device=device)
        rng = torch.Generator(device).manual_seed(self.stage.seed)
        algorithm = self.stage.algorithm
        for start in range(0, self.burn_in, self.batch_size):
            count = min(self.batch_size, self.burn_in - start)
            rows = algorithm.condition.sample(count, rng)
            best = torch.maximum(best, self.judged(self.latents(count, rng), rows)[1].double().max())
        return best

    def _too_few(self, accepted: int, drawn: int) -> str:
        remedy = "lower threshold" if self.variant == "threshold" else "lower gamma or percentile"
        return f"the discriminator accepted {accepted} of {drawn} candidates; {remedy}, raise tries, or use top-k"


def _first(places: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The places (M,) that occur, each once, and the first of the candidates (M,) that stand at each."""
    found, index = places.unique(return_inverse=True)
    first = candidates.new_full((len(found),), torch.iinfo(candidates.dtype).max)
    return found, first.scatter_reduce(0, index, candidates, "amin")
