"""``algorithm: template-name``."""

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from ganvas import Algorithm, Data, Preview, Step, Terms, Update
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus


class Template(Algorithm):
    """A GAN of two dense networks, written out: the smallest algorithm that is a whole one.

    An iteration over a batch x of m images:

    1. draw m latents z ~ N(0, I) and descend, in the discriminator's parameters,
           -E[log σ(D(x))] - E[log(1 - σ(D(G(z))))];
    2. draw m latents z anew and descend, in the generator's parameters,
           -E[log σ(D(G(z)))].

    σ is the logistic function. G and D are dense networks with two hidden layers (ReLU in G, leaky ReLU in D); images
    (N, C, H, W) in [-1, 1] of any size are flattened. The stage is not conditional.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, Algorithm 1 with one step of the discriminator and
    the generator's objective of section 3.
    """

    averaged = ("generator",)

    def __init__(
        self,
        data: Data,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers that a sample is drawn from")] = 64,
        hidden: Annotated[int, Field(ge=1, description="width of the hidden layers of both networks")] = 256,
    ) -> None:
        super().__init__(data)
        self.latent = latent
        numbers = math.prod(data.shape)
        self.generator = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, numbers),
            nn.Tanh(),
            nn.Unflatten(1, data.shape),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            nn.Linear(numbers, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
            nn.Flatten(0),
        )

    def networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return [
            Update("discriminator", trains=["discriminator"], objective=self.discriminator_terms),
            Update("generator", trains=["generator"], objective=self.generator_terms),
        ]

    def discriminator_terms(self, step: Step) -> Terms:
        real = step.batch["images"]
        with torch.no_grad():
            fake = self.draw(len(real), step.rng)
        real_scores, fake_scores = self.discriminator(real), self.discriminator(fake)
        step.log("scores/real", real_scores.mean())
        step.log("scores/fake", fake_scores.mean())
        # -log σ(s) = softplus(-s) and -log(1 - σ(s)) = softplus(s), which stay finite for any score
        return {"adversarial": softplus(-real_scores).mean() + softplus(fake_scores).mean()}

    def generator_terms(self, step: Step) -> Terms:
        fake = self.draw(len(step.batch["images"]), step.rng)
        return {"adversarial": softplus(-self.discriminator(fake)).mean()}

    def draw(self, number: int, rng: torch.Generator) -> Tensor:
        """(number, C, H, W) from fresh latents."""
        return self.generator(torch.randn(number, self.latent, generator=rng, device=rng.device))

    @torch.no_grad()
    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Draws (number, C, H, W) in [-1, 1]; without ``rng`` the same ones every time."""
        return self.draw(number, rng if rng is not None else torch.Generator(next(self.parameters()).device))

    def previews(self, batch: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        return {"samples": Preview(self.sample(64, rng=rng), columns=8)}
