import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ganvas_plugins.metrics.linear_probe import LinearProbe, logistic_regression


def test_it_agrees_with_scikit_learn(blobs):
    features, labels = blobs(spread=0.6)
    features = features.double()
    weights, biases = logistic_regression(features, torch.tensor(labels), classes=3, weight_decay=1e-2, iterations=500)
    # Theirs sums the errors and divides the penalty by C: l = 1 / (C n).
    theirs = LogisticRegression(C=1 / (1e-2 * len(labels)), tol=1e-10, max_iter=1000).fit(features.numpy(), labels)
    np.testing.assert_allclose(weights.T.numpy(), theirs.coef_, atol=1e-5)
    # Biases are determined up to a constant.
    np.testing.assert_allclose(
        (biases - biases.mean()).numpy(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-5
    )
    assert weights.dtype == torch.float64


def test_separate_blobs_are_told_apart(encoder_stage, blobs):
    stage = encoder_stage(*blobs(), held=blobs(seed=1))
    found = LinearProbe(stage.data).measure(stage)
    assert found["linear-probe"].value == 1.0
    assert found["linear-probe"].better == "higher"


def test_it_is_linear(encoder_stage):
    rng = torch.Generator().manual_seed(0)
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).repeat(100, 1)
    features = corners + 0.05 * torch.randn(400, 2, generator=rng)
    exclusive = (corners.sum(1) == 1).long().tolist()
    stage = encoder_stage(features, exclusive, held=(features, exclusive))
    assert LinearProbe(stage.data).measure(stage)["linear-probe"].value < 0.8
    either = (corners.sum(1) >= 1).long().tolist()
    stage = encoder_stage(features, either, held=(features, either))
    assert LinearProbe(stage.data).measure(stage)["linear-probe"].value == 1.0


def test_scales_and_shifts_of_the_features_change_nothing(encoder_stage, blobs):
    features, labels = blobs(spread=0.6)
    others, known = blobs(spread=0.6, seed=1)
    scales = torch.tensor([1e-3, 1.0, 1e3, 1.0, 5.0, 1.0])
    plain = encoder_stage(features, labels, held=(others, known))
    scaled = encoder_stage(features * scales + 3, labels, held=(others * scales + 3, known))
    values = [LinearProbe(stage.data).measure(stage)["linear-probe"].value for stage in (plain, scaled)]
    assert values[0] == values[1] < 1


def test_a_feature_that_never_varies_does_no_harm(encoder_stage, blobs):
    features, labels = blobs()
    features[:, 5] = 4.0
    stage = encoder_stage(features, labels)
    assert LinearProbe(stage.data).measure(stage)["linear-probe"].value == 1.0


def test_it_is_fitted_where_no_gradients_are_kept(encoder_stage, blobs):
    stage = encoder_stage(*blobs())
    with torch.no_grad():
        assert LinearProbe(stage.data).measure(stage)["linear-probe"].value == pytest.approx(1.0)


def test_its_options_are_in_the_protocol(encoder_stage, blobs):
    protocol = LinearProbe(encoder_stage(*blobs()).data, weight_decay=0.5, iterations=7).protocol
    assert protocol["weight decay"] == 0.5
    assert protocol["iterations"] == 7
    assert protocol["tested on"] == 24
