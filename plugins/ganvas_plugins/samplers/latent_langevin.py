"""``sampler: latent-langevin``."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Stage
from ganvas_plugins.samplers.judged import JudgedSampler


class LatentLangevin(JudgedSampler):
    """Discriminator driven latent sampling (DDLS): latents move to where the discriminator takes samples for real.

    Latents drawn from the prior p_0 follow Langevin dynamics in the energy

        E(z) = -log p_0(z) - D(G(z)),
        z_{t+1} = z_t - (ε_t / 2) ∇E(z_t) + √ε_t σ n,    n ~ N(0, I),    ε_t = ε decay^⌊t / decay_every⌋.

    A discriminator that is the best one of a logistic loss has D = log p_data / p_generator; then exp(-E) is the
    density of latents whose samples are distributed like the data. σ = 1 draws from it as ε → 0 and t → ∞; other σ
    draw from exp(-E / σ²), colder or warmer. With ``metropolis`` a step is taken back with the probability that makes
    this hold for every ε (MALA); a step that is too large then moves nothing.

    Numbers of a uniform prior over [-1, 1] are moved as z = erf(y / √2) of a y whose prior is normal, which keeps them
    inside. Patch scores are averaged. Each of the ``steps`` costs a pass through both networks and back.

    Source: Che et al., "Your GAN is Secretly an Energy-based Model and You Should Use Discriminator Driven Latent
    Sampling", 2020, Algorithm 1; the defaults, the decay with them, are what its implementations use for images.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        steps: Annotated[int, Field(ge=1, description="how often the latents move")] = 1000,
        step_size: Annotated[float, Field(gt=0, description="ε")] = 0.01,
        noise: Annotated[float, Field(ge=0, description="σ; 0 only descends the energy")] = 1.0,
        decay: Annotated[float, Field(gt=0, le=1, description="what ε is multiplied by")] = 0.1,
        decay_every: Annotated[int, Field(ge=1, description="how often, in steps")] = 200,
        metropolis: Annotated[bool, Field(description="take back steps so that the step size biases nothing")] = False,
    ) -> None:
        super().__init__(stage)
        if metropolis and noise == 0:
            raise ValueError("metropolis decides between random steps; give it some noise, or metropolis: false")
        self.steps = steps
        self.step_size = step_size
        self.noise = noise
        self.decay = decay
        self.decay_every = decay_every
        self.metropolis = metropolis

    def sample(self, number: int, condition: Tensor | None, rng: torch.Generator) -> Tensor:
        algorithm = self.stage.algorithm
        # Everything moves as if its prior were normal, from where plain sampling would have drawn it.
        place = self._normal(self.latents(number, rng))
        if condition is None:
            condition = algorithm.condition.sample(number, rng)
        energy, slope = self._energy(place, condition)
        for step in range(self.steps):
            size = self.step_size * self.decay ** (step // self.decay_every)
            noise = torch.randn(place.shape, generator=rng, device=rng.device)
            moved = place - size / 2 * slope + math.sqrt(size) * self.noise * noise
            new_energy, new_slope = self._energy(moved, condition, "the latents diverged; lower step_size")
            if not self.metropolis:
                place, energy, slope = moved, new_energy, new_slope
                continue
            # log of p(moved) q(moved -> place) / p(place) q(place -> moved), all at the temperature σ²
            back = (place - moved + size / 2 * new_slope).square().sum(1) / (2 * size)
            forth = size * self.noise**2 * noise.square().sum(1) / (2 * size)
            ratio = (energy - new_energy - back + forth) / self.noise**2
            taken = torch.rand(number, generator=rng, device=rng.device).log() < ratio
            place = torch.where(taken[:, None], moved, place)
            slope = torch.where(taken[:, None], new_slope, slope)
            energy = torch.where(taken, new_energy, energy)
        return algorithm.generate(self._latents(place), condition)

    def _energy(self, place: Tensor, condition: Tensor | None, *blame: str) -> tuple[Tensor, Tensor]:
        """E (N,), up to a constant, and its gradient (N, D)."""
        with torch.enable_grad():
            place = place.detach().requires_grad_(True)
            energy = place.square().sum(1) / 2 - self.judged(self._latents(place), condition, *blame)[1]
            (slope,) = torch.autograd.grad(energy.sum(), place)
        return energy.detach(), slope

    def _normal(self, latents: Tensor) -> Tensor:
        """Latents (N, D) as numbers whose prior is normal."""
        moved = self._uniform(latents)
        # Not the ends of the interval, which no normal number stands for.
        inner = latents.double().clamp(-1 + 1e-7, 1 - 1e-7)
        return torch.where(moved, (math.sqrt(2) * torch.erfinv(inner)).to(latents.dtype), latents)

    def _latents(self, place: Tensor) -> Tensor:
        """Back to what the generator takes."""
        return torch.where(self._uniform(place), torch.erf(place / math.sqrt(2)), place)

    def _uniform(self, latents: Tensor) -> Tensor:
        """(D,): which numbers have a uniform prior."""
        prior = self.stage.algorithm.products()["generator"].latents
        known = [prior.priors.get(name) == "uniform" for name, size in prior.groups.items() for _ in range(size)]
        return torch.tensor(known, device=latents.device)
