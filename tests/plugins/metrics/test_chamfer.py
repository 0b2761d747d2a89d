"""The Chamfer distance of points that are placed by hand, and its variant in a joint t-SNE."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from ganvas_plugins.embedding import tsne
from ganvas_plugins.metrics.chamfer import Chamfer, distance


def points(number, width=4, seed=0):
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def measured(drawn, itself):
    def measure(real, fake, **options):
        stage = drawn(real, fake)
        metric = Chamfer(stage.data, extractor=lambda: itself(real.shape[1]), samples=len(fake), **options)
        (found,) = metric.measure(stage).items()
        assert found[1].better == "lower"
        return found[0], found[1].value, metric

    return measure


def test_both_directions_are_means(measured):
    real = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    fake = torch.tensor([[0.0, 0.0], [3.0, 1.0], [3.0, 2.0], [0.0, 1.0]])
    name, value, metric = measured(real, fake)
    # 0, 1 and 9 from real to generated; 0, 1, 4 and 1 back.
    assert (name, value) == ("chamfer@itself", pytest.approx(10 / 3 + 6 / 4, rel=1e-12))
    assert metric.protocol == {"variant": "features", "samples": 4, "real": "all", "extractor": "itself"}


def test_as_scipy_has_it(measured):
    real, fake = points(300, 20), points(200, 20, seed=1) + 0.3
    apart = cdist(real.double(), fake.double(), "sqeuclidean")
    expected = apart.min(1).mean() + apart.min(0).mean()
    assert measured(real, fake)[1] == pytest.approx(expected, rel=1e-12)


def test_zero_for_the_same_points_and_for_no_others(measured):
    real = 100 + points(200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert measured(real, real[order])[1] == 0
    assert measured(real, torch.cat([real, real[:50]]))[1] == 0  # as sets
    moved = real.clone()
    moved[7] += 1e-3
    assert measured(real, moved)[1] > 0
    # A part of the points has no distance to all of them, but they have one to it.
    assert measured(real, real[:100])[1] > 0


def test_a_short_way_and_any_order(measured):
    grid = torch.cartesian_prod(*[torch.arange(5.0)] * 3)
    assert measured(grid, grid + torch.tensor([0.1, 0, 0.2]))[1] == pytest.approx(2 * 0.05, rel=1e-5)
    real, fake = points(90), points(70, seed=1)
    value = measured(real, fake)[1]
    assert measured(real.flip(0), fake.roll(9, 0))[1] == pytest.approx(value, rel=1e-12)
    assert measured(fake, real)[1] == pytest.approx(value, rel=1e-12)
    assert distance(2 * real, 2 * fake) == pytest.approx(4 * value, rel=1e-6)


def test_embedded_is_one_sum_in_a_joint_tsne(measured):
    real, fake = points(80, 6), points(60, 6, seed=1)
    name, value, metric = measured(real, fake, variant="embedded", points=40, perplexity=5.0, seed=3)
    placed = tsne(np.concatenate([real[::2], fake[:40]]), 3, dimensions=3, perplexity=5.0)
    assert placed.shape == (80, 3)
    assert name == "chamfer@itself.embedded"
    assert value == pytest.approx((cdist(placed[:40], placed[40:]) ** 2).min(1).sum(), rel=1e-9)
    assert metric.protocol == {
        "variant": "embedded",
        "samples": 60,
        "real": "all",
        "extractor": "itself",
        "points": 40,
        "embedding": "t-SNE to 3 dimensions, perplexity 5, seed 3",
    }


@pytest.mark.parametrize("place", [lambda features: features[:, :3], lambda features: features[:, 1:4] ** 3])
def test_embedded_with_a_fixed_embedding(measured, monkeypatch, place):
    monkeypatch.setattr("ganvas_plugins.metrics.chamfer.tsne", lambda features, seed, **options: place(features))
    real, fake = points(50, 6), points(50, 6, seed=1)

    def embedded(real, fake):
        return measured(real, fake, variant="embedded", points=50, perplexity=5.0)[1]

    value = embedded(real, fake)
    assert value == pytest.approx((cdist(place(real), place(fake)) ** 2).min(1).sum(), rel=1e-6)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    assert embedded(real[order], fake[order.flip(0)]) == pytest.approx(value, rel=1e-6)
    assert embedded(real, real[order]) == 0
    # One direction: a generator that also draws the data is not blamed for what else it draws.
    assert embedded(real[:25].repeat(2, 1), torch.cat([real[:25], fake[:25]])) == 0


def test_embedded_tells_another_distribution(measured):
    real, good, bad = points(60, 6), points(60, 6, seed=1), points(60, 6, seed=2) + 20
    near, far = (measured(real, fake, variant="embedded", points=60, perplexity=8.0)[1] for fake in (good, bad))
    assert math.isfinite(near)
    assert far > 3 * near


def test_too_few_points(drawn, itself):
    def refused(call):
        with pytest.raises(ValueError) as refusal:
            call()
        return str(refusal.value)

    stage = drawn(points(20), points(60, seed=1))

    def metric(**options):
        return Chamfer(stage.data, extractor=lambda: itself(4), variant="embedded", **options)

    assert refused(lambda: metric(samples=30, points=40)) == (
        "70 points are too few for a t-SNE of perplexity 30; raise points, samples and real, or lower perplexity to "
        "23 at most"
    )
    # How many real images there are shows when they are read.
    assert refused(lambda: metric(samples=60, points=60).measure(stage)) == (
        "80 points are too few for a t-SNE of perplexity 30; raise points, samples and real, or lower perplexity to "
        "26 at most"
    )
    assert metric(samples=60, points=60, perplexity=26.0).measure(stage)["chamfer@itself.embedded"].value > 0
