"""A duel and a match small enough to compute by hand."""

import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator, Duel, Generator, Latents, Match, Step, Translator
from ganvas_plugins.losses.wasserstein import Wasserstein


class LinearCritic(Discriminator):
    """s(x) = a·x over all of a sample's numbers, or a map of two such scores."""

    def __init__(self, slope, patches=1):
        super().__init__()
        self.slope = nn.Parameter(slope)
        self.patches = patches

    def forward(self, samples, condition=None):
        scores = samples.flatten(1) @ self.slope
        return Critique(scores if self.patches == 1 else scores[:, None].expand(-1, self.patches))


class LinearGenerator(Generator):
    """G(z, y) = W z + y, as images 1x3x4."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.latents = Latents({"z": weight.shape[1]})

    def forward(self, latents, condition=None):
        samples = latents @ self.weight.T
        return (samples if condition is None else samples + condition).view(-1, 1, 3, 4)


class Linear(Translator):
    """A dense layer of two numbers, as images 1x3x4; it has no latents of its own."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 12)

    def forward(self, latents, condition=None):
        return self.layer(latents).view(-1, 1, 3, 4)


@pytest.fixture
def critic():
    return LinearCritic


@pytest.fixture
def linear_generator():
    return LinearGenerator


@pytest.fixture
def make_step():
    def make(index=0, size=4, seed=0):
        return Step(
            index=index,
            size=size,
            steps=100,
            device=torch.device("cpu"),
            rng=torch.Generator().manual_seed(seed),
            draw=lambda source, size: {},
            note_length=lambda: None,
        )

    return make


@pytest.fixture
def make_duel():
    def make(discriminator, *regularizers, generator=None, augmentation=None):
        torch.manual_seed(0)
        generator = generator if generator is not None else Linear()
        return Duel(discriminator, Wasserstein(), augmentation, list(regularizers), generator)

    return make


@pytest.fixture
def make_match(make_step):
    def make(duel, side="discriminator", index=0, size=4, fake=None, **conditions):
        generator = torch.Generator().manual_seed(1)
        real = torch.randn(size, 1, 3, 4, generator=generator)
        latents = getattr(duel.generator, "latents", Latents({"z": 2})).sample(size, generator)
        make_fake = fake or (lambda: duel.generator(latents, conditions.get("condition_fake")))
        return Match(side, make_step(index, size), duel, real=real, fake=make_fake, latents=latents, **conditions)

    return make
