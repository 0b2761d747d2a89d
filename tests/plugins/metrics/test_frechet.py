"""Moments and the Fréchet distance, against closed forms and scipy."""

import cleanfid.fid
import numpy as np
import pytest
import scipy.linalg
import torch

from ganvas_plugins.metrics.frechet import Moments, frechet_distance


def moments(features):
    seen = Moments()
    seen.update(features)
    return seen


def draws(number=400, width=6, seed=0):
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=rng, dtype=torch.float64)
    return torch.randn(number, width, generator=rng, dtype=torch.float64) @ mix


def gaussian(mean, covariance, number=10):
    mean, covariance = (torch.as_tensor(value, dtype=torch.float64) for value in (mean, covariance))
    return Moments(number, mean, covariance * (number - 1))


@pytest.mark.parametrize("sizes", [[400], [1, 399], [100, 7, 293], [50] * 8])
def test_a_stream_equals_the_whole(sizes):
    features = draws() + 1e4  # a large mean is where sums of squares lose their digits
    seen = Moments()
    for part in features.split(sizes):
        seen.update(part)
    assert seen.number == 400
    np.testing.assert_allclose(seen.mean, features.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(seen.covariance, np.cov(features.numpy(), rowvar=False), rtol=1e-9, atol=1e-9)


def test_float32_features_are_summed_in_float64():
    features = draws().float()
    assert moments(features).covariance.dtype == torch.float64
    np.testing.assert_allclose(moments(features).covariance, np.cov(features.numpy().astype(float), rowvar=False))


def test_the_same_moments_are_at_distance_zero():
    assert frechet_distance(moments(draws()), moments(draws())) == pytest.approx(0, abs=1e-10)


def test_a_translation_costs_its_squared_length():
    shift = torch.tensor([3.0, -4, 0, 0, 0, 0])
    assert frechet_distance(moments(draws()), moments(draws() + shift)) == pytest.approx(25, abs=1e-9)


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_a_scaling_of_isotropic_gaussians(factor):
    width, variance = 7, 2.0
    first = gaussian(torch.zeros(width), torch.eye(width) * variance)
    second = gaussian(torch.zeros(width), torch.eye(width) * variance * factor**2)
    assert frechet_distance(first, second) == pytest.approx(width * (factor - 1) ** 2 * variance, abs=1e-9)


def test_commuting_covariances():
    first, second = gaussian([0.0, 0], [[4.0, 0], [0, 9]]), gaussian([1.0, 1], [[1.0, 0], [0, 25]])
    assert frechet_distance(first, second) == pytest.approx(2 + (2 - 1) ** 2 + (3 - 5) ** 2, abs=1e-10)


def test_symmetric_and_blind_to_rotation():
    first, second = draws(seed=1), draws(seed=2) + 1
    value = frechet_distance(moments(first), moments(second))
    assert frechet_distance(moments(second), moments(first)) == pytest.approx(value, rel=1e-9)
    turn = torch.linalg.qr(draws(6, seed=3)).Q
    assert frechet_distance(moments(first @ turn), moments(second @ turn)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("number", [400, 4])
def test_agrees_with_the_matrix_square_root(number):
    """With 4 samples of 6 features the covariances have no full rank."""
    first, second = moments(draws(seed=1)), moments(draws(number, seed=2) + 0.5)
    root = scipy.linalg.sqrtm(first.covariance.numpy() @ second.covariance.numpy())
    apart = (first.mean - second.mean).numpy()
    expected = apart @ apart + np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.trace(root.real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)


def test_agrees_with_clean_fid(monkeypatch):
    # newer versions of scipy return only the root, which clean-fid unpacks with an error estimate
    root = scipy.linalg.sqrtm
    monkeypatch.setattr(cleanfid.fid.linalg, "sqrtm", lambda matrix, disp=True: (root(matrix), 0.0))
    first, second = moments(draws(seed=1)), moments(draws(seed=2) + 0.5)
    expected = cleanfid.fid.frechet_distance(
        first.mean.numpy(), first.covariance.numpy(), second.mean.numpy(), second.covariance.numpy()
    )
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)


def test_too_few_samples():
    with pytest.raises(ValueError, match="two samples"):
        _ = moments(draws(1)).covariance
    with pytest.raises(ValueError, match="no features"):
        _ = Moments().mean
