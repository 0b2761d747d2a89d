"""Distances by blocks, against numpy's differences."""

import numpy as np
import pytest
import torch

from ganvas_plugins.metrics import distances
from ganvas_plugins.metrics.distances import nearest, radii, squared_distances


def sets(shift=0.0):
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 5)) + shift, rng.normal(size=(33, 5)) + shift


def apart(first, second):
    return np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))


@pytest.mark.parametrize("block", [1, 100, 10**6])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_distances_radii_and_nearest_are_numpys(block, shift, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", block)
    first, second = sets(shift)
    a, b = torch.from_numpy(first), torch.from_numpy(second)
    found = torch.cat([part for _, part in squared_distances(a, b)])
    assert [rows.stop - rows.start for rows, _ in squared_distances(a, b)] == {
        1: [1] * 40,
        100: [3] * 13 + [1],
        10**6: [40],
    }[block]
    np.testing.assert_allclose(found.sqrt(), apart(first, second), rtol=1e-7)
    for k in (1, 4, 39):
        expected = np.sort(apart(first, first), axis=1)[:, k]  # the nearest is the point itself
        np.testing.assert_allclose(radii(a, k).sqrt(), expected, rtol=1e-7)
    values, which = nearest(a, b)
    np.testing.assert_allclose(values, apart(first, second).min(1), rtol=1e-7)
    assert which.tolist() == apart(first, second).argmin(1).tolist()


def test_equal_points_have_no_distance():
    points = 1e3 * torch.randn(50, 700, generator=torch.Generator().manual_seed(0))
    twice = torch.cat([points, points])
    assert nearest(points, twice)[0].max() == 0
    assert radii(twice, 1).max() == 0
    assert radii(twice, 2).min() > 0
    moved = points * (1 + 1e-5)
    assert nearest(moved, points)[0].min() > 0
