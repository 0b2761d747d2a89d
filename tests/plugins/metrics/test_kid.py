"""KID against its definition written out in numpy, and what holds of an estimate without bias."""

import math

import numpy as np
import pytest
import torch

from ganvas_plugins.metrics.kid import Kid, squared_discrepancy


def points(number, width=6, seed=0, shift=0.0):
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def by_definition(first, second):
    """Sums over pairs, one by one."""

    def kernel(a, b):
        return (float(np.dot(a, b)) / len(a) + 1) ** 3

    number = len(first)
    within = sum(
        kernel(one[i], one[j]) for one in (first, second) for i in range(number) for j in range(number) if i != j
    )
    across = sum(kernel(a, b) for a in first for b in second)
    return within / (number * (number - 1)) - 2 * across / number**2


def test_the_definition():
    first, second = points(13), points(13, seed=1, shift=0.3)
    assert float(squared_discrepancy(first, second)) == pytest.approx(
        by_definition(first.numpy(), second.numpy()), rel=1e-12
    )
    assert float(squared_discrepancy(second, first)) == pytest.approx(float(squared_discrepancy(first, second)))


def test_another_implementation():
    other = pytest.importorskip(
        "torch_fidelity.metric_kid", reason="pip install -e '.[reference]' brings torch-fidelity to compare with"
    )
    first, second = points(50), points(50, seed=1, shift=0.3)
    options = {"kid_subsets": 3, "kid_subset_size": 50, "verbose": False}
    expected = other.kid_features_to_metric(first, second, **options)["kernel_inception_distance_mean"]
    assert float(squared_discrepancy(first, second)) == pytest.approx(expected, rel=1e-9)


def measured(stage, itself, width=6, **options):
    metric = Kid(stage.data, extractor=lambda: itself(width), **options)
    (found,) = metric.measure(stage).items()
    assert found[0] == "kid@itself"
    assert found[1].better == "lower"
    return found[1]


def test_subsets_of_all_images_are_the_whole(drawn, itself):
    real, fake = points(40).float(), points(40, seed=1, shift=0.5).float()
    whole = measured(drawn(real, fake), itself, samples=40, size=40, subsets=3)
    assert whole.value == pytest.approx(by_definition(real.double().numpy(), fake.double().numpy()), rel=1e-9)
    assert whole.deviation == pytest.approx(0, abs=1e-12)
    assert measured(drawn(real, fake), itself, samples=40, size=40, subsets=1).deviation is None


def test_subsets_are_seeded_and_their_spread_is_the_deviation(drawn, itself):
    stage = drawn(points(60), points(60, seed=1, shift=0.5))
    first, again = (measured(stage, itself, samples=60, size=20, subsets=8) for _ in range(2))
    other = measured(stage, itself, samples=60, size=20, subsets=8, seed=1)
    assert first == again
    assert first.value != other.value
    rng = torch.Generator().manual_seed(0)
    values = []
    for _ in range(8):
        chosen = [torch.randperm(60, generator=rng)[:20] for _ in range(2)]
        pair = (points(60)[chosen[0]].float(), points(60, seed=1, shift=0.5)[chosen[1]].float())
        values.append(by_definition(*(part.double().numpy() for part in pair)))
    assert first.value == pytest.approx(np.mean(values), rel=1e-9)
    assert first.deviation == pytest.approx(np.std(values), rel=1e-9)


def test_zero_in_expectation_for_one_distribution(drawn, itself):
    rng = np.random.default_rng(0)
    values = [
        float(squared_discrepancy(*(torch.from_numpy(rng.normal(size=(30, 4))) for _ in range(2)))) for _ in range(400)
    ]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(400)


def test_more_than_there_are_cannot_be_drawn(drawn, itself):
    stage = drawn(points(15), points(40))
    with pytest.raises(ValueError) as refusal:
        measured(stage, itself, samples=40, size=20)
    assert str(refusal.value) == "a subset of 20 images cannot be drawn from 15 real ones; lower size to 15 at most"
    with pytest.raises(ValueError, match=r"^a subset of 50 images cannot be drawn from 40; lower size to 40 at most$"):
        measured(stage, itself, samples=40, size=50)
    assert Kid(stage.data, extractor=lambda: itself(6), samples=40, size=9).protocol == {
        "subsets": 100,
        "size": 9,
        "subsets' seed": 0,
        "samples": 40,
        "real": "all",
        "extractor": "itself",
    }
