"""The upper reference: an encoder that is told the labels."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganvas_plugins.conditions.labels import Labels
from ganvas_plugins.conditions.none import NoCondition
from ganvas_plugins.encoders.supervised import Supervised


def test_cross_entropy_of_the_labels(flat, data):
    torch.manual_seed(0)
    encoder = Supervised(flat(), data(), condition=Labels, smoothing=0.1)
    assert encoder.needs == {"images", "labels"}
    view, labels = torch.randn(5, 3, 2, 2), torch.tensor([0, 1, 2, 2, 1])
    terms = encoder.objective(view, images=view, labels=labels)
    expected = F.cross_entropy(encoder.head(encoder.encode(view)), labels, label_smoothing=0.1)
    torch.testing.assert_close(terms, {"classification": expected})
    torch.testing.assert_close(encoder.embeddings, encoder.encode(view))
    terms["classification"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_one_image_and_a_head_that_knows_nothing(flat, data):
    encoder = Supervised(flat(), data(), condition=Labels)
    torch.nn.init.zeros_(encoder.head.weight)
    torch.nn.init.zeros_(encoder.head.bias)
    view = torch.randn(1, 3, 2, 2)
    value = encoder.objective(view, images=view, labels=torch.tensor([1]))["classification"].item()
    assert value == pytest.approx(math.log(3))


def test_nothing_to_learn(flat, data):
    with pytest.raises(ValueError, match=r"^a classifier needs a condition to learn; use labels, or clusters for"):
        Supervised(flat(), data(), condition=NoCondition)
