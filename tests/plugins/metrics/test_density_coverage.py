"""Density and coverage by hand, by their definition in numpy, and what they are for equal distributions."""

import numpy as np
import pytest
import torch

from ganvas_plugins.metrics.density_coverage import DensityCoverage, density_coverage
from ganvas_plugins.metrics.precision_recall import precision_recall


def points(number, width=3, seed=0, shift=0.0):
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(real, fake, k):
    inside = np.zeros((len(real), len(fake)), dtype=bool)
    for i, centre in enumerate(real):
        radius = sorted(np.linalg.norm(other - centre) for j, other in enumerate(real) if j != i)[k - 1]
        for j, point in enumerate(fake):
            inside[i, j] = np.linalg.norm(point - centre) < radius
    return inside.sum() / (k * len(fake)), inside.any(1).mean()


@pytest.mark.parametrize("k", [1, 5])
def test_the_definition(k):
    real, fake = points(25), points(20, seed=1, shift=0.7)
    expected = by_definition(real.double().numpy(), fake.double().numpy(), k)
    assert min(expected) > 0
    assert density_coverage(real, fake, k) == pytest.approx(expected, abs=1e-12)


def test_the_authors_package():
    prdc = pytest.importorskip("prdc", reason="pip install -e '.[reference]' brings prdc to compare with")
    real, fake = points(300, 8), points(250, 8, seed=1, shift=0.3)
    expected = prdc.compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=5)
    found = density_coverage(real, fake, 5)
    assert found == pytest.approx((expected["density"], expected["coverage"]), abs=1e-12)


def test_on_a_line_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0]])  # radii 1, 1, 2 for k = 1
    fake = torch.tensor([[1.5], [2.0], [20.0], [-1.0]])  # a border is outside
    density, coverage = density_coverage(real, fake, 1)
    assert density == 3 / 4  # 1.5 lies in the balls of 1 and 3, 2.0 in that of 3 only
    assert coverage == 2 / 3


def test_exactly_k_of_the_set_itself_lie_in_each_ball():
    real = points(40)
    assert density_coverage(real, real, 5) == (1, 1)
    assert density_coverage(real, real + 1000, 5) == (0, 0)


def test_for_one_distribution_density_is_1_and_coverage_1_minus_2_to_the_minus_k():
    for k in (1, 3, 5):
        density, coverage = density_coverage(points(1500), points(1500, seed=1), k)
        assert density == pytest.approx(1, abs=0.06)
        assert coverage == pytest.approx(1 - 2.0**-k, abs=0.03)


def test_an_outlier_takes_in_samples_for_precision_but_not_for_density():
    real = torch.cat([points(200), torch.full((1, 3), 60.0)])
    fake = points(200, seed=1, shift=20)  # nowhere near the data, but nearer to it than the outlier is
    assert precision_recall(real, fake, 3)[0] == 1
    density, coverage = density_coverage(real, fake, 3)
    assert density == pytest.approx(1 / 3)
    assert coverage == pytest.approx(1 / 201)


def test_the_metric(drawn, itself):
    real, fake = points(25), points(20, seed=1, shift=0.7)
    stage = drawn(real, fake)
    metric = DensityCoverage(stage.data, extractor=lambda: itself(3), samples=20, k=2)
    density, coverage = density_coverage(real, fake, 2)
    found = metric.measure(stage)
    assert {name: value.value for name, value in found.items()} == {
        "density-coverage@itself.density": density,
        "density-coverage@itself.coverage": coverage,
    }
    assert metric.protocol == {"k": 2, "samples": 20, "real": "all", "extractor": "itself"}
    few = drawn(real[:5], fake)
    with pytest.raises(ValueError) as refusal:
        DensityCoverage(few.data, extractor=lambda: itself(3), samples=20).measure(few)
    assert str(refusal.value) == "of 5 images none has a neighbour of rank 5; take more images or lower k"
