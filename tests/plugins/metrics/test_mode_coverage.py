"""Covered modes, quality and divergence, counted by hand."""

import math

import pytest
import torch

from ganvas_plugins.metrics.mode_coverage import ModeCoverage, divergence

CENTRES = torch.tensor([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
SPREAD = 0.01


@pytest.fixture
def points(drawn):
    """A stage that draws points, over data that know their modes."""

    def make(fake, real=None):
        real = CENTRES.repeat(5, 1) if real is None else real
        stage = drawn(real, fake)
        stage.data.dataset.centres, stage.data.dataset.spread = CENTRES, SPREAD
        return stage

    return make


def measured(stage, number, **options):
    def never():
        raise AssertionError("data that know their modes need no extractor")

    metric = ModeCoverage(stage.data, extractor=never, samples=number, **options)
    found = metric.measure(stage)
    assert [value.better for value in found.values()] == ["higher", "lower", "higher"]
    return [found[f"mode-coverage.{name}"].value for name in ("modes", "kl", "quality")]


def test_points_count_for_the_nearest_centre_within_three_deviations(points):
    away = torch.tensor([[0.0, 2.9], [0.0, 3.1], [0.0, 0.0], [2.0, 2.0], [2.2, 2.2]]) * SPREAD
    fake = torch.cat([CENTRES[0] + away, CENTRES[1:2], torch.zeros(1, 2)])
    # Of the first mode 0, 2.9 and 2.83 deviations; 3.1 and 3.11 are too far, and so is the middle.
    modes, kl, quality = measured(points(fake), 7)
    assert (modes, quality) == (2, 4 / 7)
    assert kl == pytest.approx(0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.25), rel=1e-12)
    assert measured(points(fake), 7, deviations=3.2)[2] == 6 / 7
    assert measured(points(fake), 7, least=2)[0] == 1


def test_an_oracle_and_a_collapsed_generator(points):
    rng = torch.Generator().manual_seed(0)
    noise = SPREAD * torch.randn(4000, 2, generator=rng)
    modes, kl, quality = measured(points(CENTRES.repeat(1000, 1) + noise), 4000)
    assert modes == 4
    assert kl == pytest.approx(0, abs=1e-4)
    assert quality == pytest.approx(1 - math.exp(-4.5), abs=0.006)  # within 3 deviations in the plane
    modes, kl, quality = measured(points(CENTRES[:1] + noise), 4000)
    assert (modes, kl) == (1, pytest.approx(math.log(4), rel=1e-12))


def test_the_histogram_of_the_data(points):
    uneven = CENTRES[[0, 0, 0, 1, 2, 3]].repeat(4, 1)
    stage = points(uneven[:12], uneven)
    assert measured(stage, 12, reference="data")[1] == pytest.approx(0, abs=1e-12)
    assert measured(stage, 12)[1] == pytest.approx(math.log(4) - (0.5 * math.log(2) + 0.5 * math.log(6)), rel=1e-9)


def test_divergences():
    even = torch.ones(10)
    assert divergence(even, even) == pytest.approx(0, abs=1e-12)
    assert divergence(torch.eye(10)[3], even) == pytest.approx(math.log(10))
    assert divergence(torch.tensor([1.0, 3.0]), torch.tensor([30.0, 10.0])) == pytest.approx(
        0.25 * math.log(0.25 / 0.75) + 0.75 * math.log(0.75 / 0.25)
    )


def test_nothing_to_count_and_a_mode_that_the_data_lack(points):
    with pytest.raises(ValueError) as refusal:
        measured(points(torch.zeros(5, 2)), 5)
    assert str(refusal.value) == "none of 5 samples lies within 3 deviations of a mode; train longer"
    with pytest.raises(ValueError) as refusal:
        measured(points(CENTRES[[0, 0, 2, 2, 2]], CENTRES[:2].repeat(3, 1)), 5, reference="data")
    assert str(refusal.value) == (
        "no real image is of mode 2, but 3 samples are: the divergence is infinite; use reference: uniform"
    )


@pytest.mark.parametrize("reference", ["uniform", "data"])
def test_a_classifiers_classes(drawn, itself, reference):
    """The numbers of an image are its logits here."""
    real = torch.eye(3)[[0, 1, 2, 2]]
    stage = drawn(real, torch.eye(3)[[0, 0, 0, 2]])
    extractor = itself(3, classes=3)
    metric = ModeCoverage(stage.data, extractor=lambda: extractor, samples=4, reference=reference)
    found = metric.measure(stage)
    expected = {"uniform": [1 / 3, 1 / 3], "data": [1 / 4, 1 / 2]}[reference]
    assert {name: value.value for name, value in found.items()} == {
        "mode-coverage@itself.modes": 2,
        "mode-coverage@itself.kl": pytest.approx(
            0.75 * math.log(0.75 / expected[0]) + 0.25 * math.log(0.25 / expected[1])
        ),
    }
    assert metric.protocol == {"samples": 4, "least": 1, "reference": reference, "extractor": "itself"}


def test_the_protocol_of_known_modes(points):
    metric = ModeCoverage(points(CENTRES).data, extractor=None, samples=4)
    assert metric.protocol == {"samples": 4, "least": 1, "reference": "uniform", "deviations": 3.0}
