import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from ganvas_plugins.metrics.knn import Knn, vote


def test_separate_blobs_are_told_apart(encoder_stage, blobs):
    stage = encoder_stage(*blobs(), held=blobs(seed=1))
    found = Knn(stage.data, k=20).measure(stage)
    assert found["knn"].value == 1.0
    assert found["knn"].better == "higher"


def test_features_that_know_nothing_are_at_chance(encoder_stage):
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(4000, 8, generator=rng)
    stage = encoder_stage(features, [index % 4 for index in range(4000)])
    assert Knn(stage.data, k=10).measure(stage)["knn"].value == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(("temperature", "winner"), [(0.1, 0), (10.0, 1)])
def test_the_vote_is_weighted_as_the_formula_says(temperature, winner):
    # One neighbour of class 0 at 10 degrees, two of class 1 at 45: near ones win if the temperature is small.
    angles = torch.tensor([10.0, 45.0, -45.0, 180.0]).deg2rad()
    known = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [3.0], [0.5], [2.0]])
    weights = [math.exp(math.cos(math.radians(angle)) / temperature) for angle in (10, 45, 45)]
    assert (weights[0] > weights[1] + weights[2]) == (winner == 0)
    asked = torch.tensor([[5.0, 0.0]])
    labels = torch.tensor([0, 1, 1, 0])
    assert vote(known, labels, asked, classes=2, k=3, temperature=temperature).tolist() == [winner]


def test_it_agrees_with_scikit_learn(blobs):
    known, labels = blobs(spread=0.6, dimensions=3)
    asked, _ = blobs(spread=0.6, dimensions=3, seed=1)
    theirs = KNeighborsClassifier(
        15,
        metric="cosine",
        algorithm="brute",
        weights=lambda apart: np.exp((1 - apart) / 0.07),
    ).fit(known.numpy(), labels)
    ours = vote(known, torch.tensor(labels), asked, classes=3, k=15, temperature=0.07)
    assert ours.tolist() == theirs.predict(asked.numpy()).tolist()


def test_turning_and_scaling_the_features_changes_nothing(blobs):
    known, labels = blobs(spread=0.6)
    asked, _ = blobs(spread=0.6, seed=1)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0))).Q
    plain = vote(known, torch.tensor(labels), asked, classes=3, k=15, temperature=0.07)
    turned = vote(7 * known @ turn, torch.tensor(labels), asked @ turn / 3, classes=3, k=15, temperature=0.07)
    assert torch.equal(plain, turned)


def test_a_small_temperature_does_not_overflow(blobs):
    known, labels = blobs()
    found = vote(known, torch.tensor(labels), known, classes=3, k=5, temperature=1e-5)
    assert found.tolist() == labels  # each is its own nearest


def test_too_few_images_are_refused(encoder_stage, blobs):
    stage = encoder_stage(*blobs(number=10))
    with pytest.raises(ValueError, match=r"^24 training images are fewer than k = 200; lower k$"):
        Knn(stage.data).measure(stage)
