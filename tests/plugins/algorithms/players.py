"""A generator and conditions small enough to see through, for algorithms around one duel."""

import torch
from torch import nn

from ganvas import Condition, Generator, Latents, Segment

CLASSES = 3


class Toy(Generator):
    def __init__(self, shape, condition, groups=None):
        super().__init__()
        self.latents = Latents(groups or {"z": 5})
        self.sample_shape = shape
        self.conditional = condition is not None
        self.layer = nn.Linear(self.latents.size + (condition[0] if condition else 0), 16)

    def forward(self, latents, condition=None):
        given = latents if condition is None else torch.cat([latents, condition], 1)
        return self.layer(given).tanh().view(-1, 1, 4, 4)


class None_(Condition):
    def __init__(self, data):
        super().__init__()

    def of(self, batch):
        return None

    def sample(self, number, rng):
        return None


class Classes(None_):
    shape = (CLASSES,)
    needs = frozenset({"labels"})
    segments = (Segment("one-hot", CLASSES),)

    def of(self, batch):
        return torch.eye(CLASSES)[batch["labels"]]

    def sample(self, number, rng):
        return torch.eye(CLASSES)[torch.randint(CLASSES, (number,), generator=rng)]
