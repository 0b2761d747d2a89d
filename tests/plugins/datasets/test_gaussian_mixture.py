import math

import pytest
import torch

from ganvas_plugins.datasets.gaussian_mixture import GaussianMixture


def test_a_ring_of_eight():
    data = GaussianMixture()
    points, labels = data.tensors()["images"].flatten(1), data.tensors()["labels"]
    assert points.shape == (50_000, 2)
    assert labels.bincount().tolist() == [6250] * 8
    assert data.classes == list("01234567")
    assert data.spread == pytest.approx(0.02 / 3.1)
    angles = torch.arange(8) * math.pi / 4
    expected = torch.stack([angles.cos(), angles.sin()], 1) * 2 / 3.1
    torch.testing.assert_close(data.centres, expected, atol=1e-6, rtol=0)
    for mode in range(8):
        mine = points[labels == mode]
        torch.testing.assert_close(mine.mean(0), expected[mode], atol=5 * data.spread / 6250**0.5, rtol=0)
        torch.testing.assert_close(mine.std(0), torch.full((2,), data.spread), atol=0, rtol=0.05)
    assert points.abs().max() <= 1


def test_a_grid_of_twenty_five():
    data = GaussianMixture(layout="grid", samples=2500)
    centres = data.centres * data.scale
    assert sorted({round(value, 4) for value in centres.flatten().tolist()}) == [-4, -2, 0, 2, 4]
    assert len({tuple(centre) for centre in centres.round(decimals=3).tolist()}) == 25
    points, labels = data.tensors()["images"].flatten(1), data.tensors()["labels"]
    nearest = torch.cdist(points, data.centres).argmin(1)
    assert torch.equal(nearest, labels)
    assert ((points - data.centres[labels]) * data.scale).std().item() == pytest.approx(0.05, rel=0.05)


def test_chosen_numbers_and_the_seed():
    data = GaussianMixture(modes=3, radius=1.0, deviation=0.1, samples=7, seed=1)
    assert len(data) == 7
    assert data.tensors()["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert data.centres.norm(dim=1).tolist() == pytest.approx([1 / 2] * 3)
    again, other = (GaussianMixture(modes=3, radius=1.0, deviation=0.1, samples=7, seed=seed) for seed in (1, 2))
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert GaussianMixture(layout="grid", modes=1).centres.tolist() == [[0, 0]]


def test_points_far_out_lie_on_the_border():
    data = GaussianMixture(radius=1e-6, deviation=1.0, samples=2_000_000, modes=1)  # scale 5: beyond five deviations
    beyond = (data.tensors()["images"].abs() == 1).float().mean().item()
    assert beyond < 5e-6


def test_it_is_made_while_networks_are_built_on_the_meta_device():
    with torch.device("meta"):
        assert GaussianMixture(samples=10).tensors()["images"].device.type == "cpu"
        assert GaussianMixture(layout="grid").centres.device.type == "cpu"


def test_a_grid_that_is_no_square():
    with pytest.raises(ValueError) as caught:
        GaussianMixture(layout="grid", modes=8)
    assert str(caught.value) == "a grid has as many rows as columns, and 8 is no square; set modes to 4 or 9"
