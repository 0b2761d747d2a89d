"""A match whose samples are the features that a head judges, so that its terms can be computed by hand."""

import pytest
import torch
from torch import nn

from ganvas import Discriminator, Duel, Match, Step
from ganvas_plugins.losses.wasserstein import Wasserstein


class Bare(Discriminator):
    """The samples are the features."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, samples, condition=None):
        return self.head(samples, condition)


@pytest.fixture
def make_duel():
    def make(head, segments=()):
        return Duel(Bare(head), Wasserstein(), None, [], nn.Linear(2, 2), segments=segments)

    return make


@pytest.fixture
def make_match(make_duel):
    """Reals and fakes (N, F, *S) with the conditions that they were judged under and made from."""

    def make(head, side, real, fake, condition_real, condition_fake, segments=()):
        step = Step(
            index=0,
            size=len(real),
            steps=100,
            device=torch.device("cpu"),
            rng=torch.Generator(),
            draw=lambda source, size: {},
            note_length=lambda: None,
        )
        return Match(
            side,
            step,
            make_duel(head, segments),
            real=real,
            fake=lambda: fake,
            condition_real=condition_real,
            condition_fake=condition_fake,
        )

    return make
