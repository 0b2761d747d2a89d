"""What the samplers share that ask the discriminator which samples look real."""

import torch
from torch import Tensor

from ganvas import Algorithm, Sampler


class JudgedSampler(Sampler):
    """A sampler of stages that train a generator and a discriminator."""

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        for product in ("generator", "discriminator"):
            if product not in algorithm.gives:
                name, other = (getattr(one, "component_name", type(one).__name__) for one in (self, algorithm))
                given = ", ".join(algorithm.gives) or "nothing"
                raise ValueError(f"the sampler {name!r} needs a stage that gives a {product}; {other!r} gives {given}")

    def latents(self, number: int, rng: torch.Generator) -> Tensor:
        """Draws (number, D) from the generator's prior, as plain sampling does."""
        return self.stage.algorithm.draw(number, None, rng)[0]

    def judged(
        self, latents: Tensor, condition: Tensor | None, blame: str = "its training diverged"
    ) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) of latents (N, D), and what the discriminator says about them: (N,), patches averaged.

        Args:
            blame: what it comes from if scores are not finite.

        Raises:
            ValueError: a score that is no finite number.
        """
        algorithm = self.stage.algorithm
        images = algorithm.generate(latents, condition)
        # What real samples do not have (InfoGAN's codes) the discriminator has never seen.
        seen = condition if algorithm.condition.observed else None
        scores = algorithm.products()["discriminator"](images, seen).scores.float().reshape(len(images), -1).mean(1)
        if not scores.isfinite().all():
            raise ValueError(f"some of the discriminator's scores are not finite: {blame}")
        return images, scores
