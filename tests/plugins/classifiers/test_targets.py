"""Losses and hits by segment, in closed form."""

import math

import pytest
import torch

from ganvas import Condition, Segment
from ganvas_plugins.classifiers.targets import check_targets, classification_loss, recovered

MIXED = [Segment("one-hot", 3), Segment("binary", 2)]


def test_indifferent_logits_cost_the_entropy():
    targets = torch.tensor([[1.0, 0, 0, 1, 0], [0, 0, 1, 1, 1]])
    loss = classification_loss(torch.zeros(2, 5), targets, MIXED)
    assert loss.item() == pytest.approx(math.log(3) + math.log(2), abs=1e-6)


def test_one_hot_and_binary_hits():
    logits = torch.tensor([[2.0, 1, 0, 0.1, -0.1], [0, 1, 2, -1, 1]])
    targets = torch.tensor([[1.0, 0, 0, 1, 1], [0, 1, 0, 0, 1]])
    assert recovered(logits, targets, MIXED).tolist() == [[1, 1, 0], [0, 1, 1]]


def test_right_answers_cost_nothing():
    targets = torch.tensor([[1.0, 0, 0, 1, 0]])
    assert classification_loss((targets * 2 - 1) * 50, targets, MIXED).item() == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_learned_is_refused():
    condition = Condition()
    with pytest.raises(ValueError, match="labels, or clusters"):
        check_targets(condition)
    condition.segments = [Segment("continuous", 4)]
    with pytest.raises(ValueError, match="nothing continuous"):
        check_targets(condition)
    condition.segments = MIXED
    check_targets(condition)
    condition.observed = False
    with pytest.raises(ValueError) as caught:
        check_targets(condition)
    assert str(caught.value) == (
        "a classifier learns what is known of real images, and no real image has a code; use labels or clusters"
    )
