"""A small backbone, data without images, and the comparison with another implementation of a loss."""

import pytest
import torch
from torch import nn

from ganvas import Backbone, Data


class Flat(Backbone):
    """Sixteen linear features."""

    def __init__(self, numbers):
        super().__init__()
        self.features = 16
        self.linear = nn.Linear(numbers, 16)

    def forward(self, images):
        return self.linear(images.flatten(1))


@pytest.fixture
def flat():
    """Makes a backbone with sixteen linear features, for images of 12 numbers unless told otherwise."""
    return lambda numbers=12: Flat(numbers)


@pytest.fixture
def data():
    """Makes ``Data`` that say what they are, without any samples."""

    def make(shape=(3, 2, 2), classes=("a", "b", "c"), **fields):
        known = {"images": {"shape": shape, "dtype": "uint8", "range": (0, 255)}}
        if classes:
            known["labels"] = {"shape": (), "dtype": "int64", "range": None}
        return Data(None, {"fields": known | fields, "classes": list(classes), "attributes": [], "fingerprint": "none"})

    return make


@pytest.fixture
def same():
    """Checks that two losses of a pair of embeddings agree, and so do their gradients, in float64."""

    def check(ours, theirs, sizes=((2, 3), (7, 5), (64, 33)), relative=1e-6):
        for number, width in sizes:
            pairs = []
            for loss in (ours, theirs):
                generator = torch.Generator().manual_seed(number)
                pair = torch.randn(2, number, width, generator=generator, dtype=torch.float64).requires_grad_()
                value = loss(*pair)
                value.backward()
                pairs.append((value.detach(), pair.grad))
            torch.testing.assert_close(*(value for value, _ in pairs), rtol=relative, atol=1e-12)
            torch.testing.assert_close(*(gradient for _, gradient in pairs), rtol=relative, atol=1e-12)

    return check
