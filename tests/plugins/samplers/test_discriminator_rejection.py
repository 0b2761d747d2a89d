"""Rejection by exact densities over a few cells: what is accepted is distributed like the data."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chi2

from ganvas import Latents
from ganvas_plugins.samplers.discriminator_rejection import DiscriminatorRejection

CELLS = 6
PRIOR = Latents({"u": 1}, {"u": "uniform"})
DATA = torch.tensor([0.05, 0.3, 0.1, 0.25, 0.1, 0.2], dtype=torch.float64)
OTHER = torch.tensor([0.4, 0.05, 0.05, 0.05, 0.05, 0.4], dtype=torch.float64)
THIRD = DATA.flip(0)
RATIO = DATA * CELLS  # of the data's density to the generator's, which is uniform


def cells(values: torch.Tensor) -> torch.Tensor:
    """Which of equal parts of [-1, 1] a value lies in."""
    return ((values + 1) / 2 * CELLS).long().clamp(max=CELLS - 1)


def log_ratio(values: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    return RATIO.log().float()[cells(values[:, 0])]


def histogram(images: torch.Tensor) -> torch.Tensor:
    return cells(images.flatten(1)[:, 0]).bincount(minlength=CELLS).double()


def agrees(counts: torch.Tensor, density: torch.Tensor) -> bool:
    """Pearson's chi-square test of counts against a density, which one in a thousand samples of it would fail."""
    expected = density * counts.sum()
    return bool(((counts - expected).square() / expected).sum() < chi2.ppf(0.999, CELLS - 1))


def test_exact_rejection_gives_the_data(stage_of) -> None:
    stage = stage_of(log_ratio, PRIOR)
    sampler = DiscriminatorRejection(stage, gamma=0.0, burn_in=1000)
    number = 20_000
    plain = histogram(stage.sample(number, seed=3))
    assert agrees(plain, torch.full((CELLS,), 1 / CELLS, dtype=torch.float64))
    assert not agrees(plain, DATA)
    assert agrees(histogram(stage.sample(number, seed=3, sampler=sampler)), DATA)
    # E[acceptance] = 1 / M, with M the largest ratio
    expected = 1 / RATIO.max().item()
    deviation = math.sqrt(expected * (1 - expected) / sampler.drawn)
    assert sampler.accepted / sampler.drawn == pytest.approx(expected, abs=4 * deviation)
    assert sampler.report() == f"{sampler.accepted} of {sampler.drawn} candidates accepted"


def test_each_condition_gets_its_own_data_and_as_many_samples_as_it_asked_for(stage_of, classes) -> None:
    densities = torch.stack([DATA, OTHER, THIRD])

    def score(values: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return (densities * CELLS).log().float()[condition.argmax(1), cells(values[:, 0])]

    stage = stage_of(score, PRIOR, classes)
    rows = torch.eye(3)[torch.arange(15_000) % 3]
    sampler = DiscriminatorRejection(stage, gamma=0.0, burn_in=1000, tries=100)
    images = stage.sample(len(rows), rows, seed=1, sampler=sampler)
    assert torch.equal(images[:, 0, 0, 1:], rows)
    for number, density in enumerate(densities):
        assert agrees(histogram(images[number::3]), density)
        assert not agrees(histogram(images[number::3]), densities[number - 1])
    # Drawn conditions keep their prior, whatever the discriminator prefers.
    classes = stage.sample(15_000, seed=2, sampler=sampler)[:, 0, 0, 1:].sum(0)
    assert ((classes - 5000).abs() < 4 * math.sqrt(15_000 * 2 / 9)).all()


def test_a_condition_that_reals_do_not_have_is_not_shown_to_the_discriminator(stage_of, codes) -> None:
    def score(values: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        assert condition is None
        return values[:, 0]

    images = stage_of(score, PRIOR, codes).sample(7, sampler=None)
    assert images.shape == (7, 1, 1, 4)
    stage = stage_of(score, PRIOR, codes)
    assert stage.sample(7, sampler=DiscriminatorRejection(stage, burn_in=10)).shape == (7, 1, 1, 4)


def expected_acceptance(gamma: float) -> float:
    """The mean over the generator's density of 1 / (1 + exp(γ) (exp(-d) - exp(-ε))), with d = s - M."""
    below = RATIO.log() - RATIO.log().max()
    return (1 / (1 + math.exp(gamma) * ((-below).exp() - math.exp(-1e-8)))).mean().item()


def test_gamma_moves_the_acceptance_monotonically(stage_of) -> None:
    stage = stage_of(log_ratio, PRIOR)
    shares = []
    for gamma in (-3.0, -1.0, 0.0, 1.0, 3.0):
        sampler = DiscriminatorRejection(stage, gamma=gamma, burn_in=1000)
        stage.sample(3000, sampler=sampler)
        shares.append(sampler.accepted / sampler.drawn)
        expected = expected_acceptance(gamma)
        deviation = math.sqrt(expected * (1 - expected) / sampler.drawn)
        assert shares[-1] == pytest.approx(expected, abs=4 * deviation)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.8
    assert shares[-1] < 0.25  # the best cell is accepted whatever γ is: its F is -log ε
    below = RATIO.log()  # scores without ties
    means = [
        DiscriminatorRejection(stage, percentile=percentile).accept(below).mean().item()
        for percentile in (0.0, 20.0, 50.0, 80.0, 95.0, 100.0)
    ]
    assert means == sorted(means, reverse=True)


def test_probabilities_are_the_papers(stage_of) -> None:
    scores = torch.tensor([-2.0, 0.5, 1.0, 3.0, -0.25])
    stage = stage_of(log_ratio, PRIOR)
    for epsilon in (1e-8, 0.01):
        for gamma in (None, -0.5, 1.5):
            sampler = DiscriminatorRejection(stage, gamma=gamma, percentile=75.0, epsilon=epsilon)
            f = [s - 3 - math.log(1 - math.exp(s - 3 - epsilon)) for s in scores.tolist()]
            # of five numbers the 75th percentile is the second largest
            shift = sorted(f)[-2] if gamma is None else gamma
            expected = [1 / (1 + math.exp(shift - value)) for value in f]
            assert sampler.accept(scores).tolist() == pytest.approx(expected, rel=1e-6)
            assert sampler.accept(scores).dtype == torch.float64


@pytest.mark.parametrize("level", [-50.0, 0.0, 7.5])
def test_a_constant_discriminator_is_finite(stage_of, level: float) -> None:
    stage = stage_of(log_ratio, PRIOR)
    scores = torch.full((9,), level)
    assert DiscriminatorRejection(stage, gamma=0.0).accept(scores).tolist() == pytest.approx([1.0] * 9, abs=1e-7)
    for percentile in (0.0, 50.0, 80.0, 100.0):
        found = DiscriminatorRejection(stage, percentile=percentile).accept(scores)
        assert found.tolist() == pytest.approx([0.5] * 9)


def test_the_maximum_is_estimated_beforehand_and_rises(stage_of) -> None:
    stage = stage_of(lambda values, condition: values[:, 0])
    sampler = DiscriminatorRejection(stage, gamma=0.0, burn_in=1000, batch_size=300)
    again = torch.Generator().manual_seed(stage.seed)
    known = max(torch.randn(count, generator=again).max().item() for count in (300, 300, 300, 100))
    low = torch.tensor([-1.0, 0.0])
    first = stage.sample(100, seed=5, sampler=sampler)
    sampler.start()
    # Below the maximum everything is accepted with exp(s - M).
    assert sampler.accept(low).tolist() == pytest.approx((low.double() - known).exp().tolist(), rel=1e-6)
    sampler.accept(torch.tensor([known + 2.0]))
    assert sampler.accept(low).tolist() == pytest.approx((low.double() - known - 2).exp().tolist(), rel=1e-6)
    # It is forgotten when a new set of samples begins, so one seed gives the same images again.
    assert torch.equal(stage.sample(100, seed=5, sampler=sampler), first)
    sampler.start()
    assert sampler.report() == ""


def test_the_maximum_goes_on_through_the_calls_of_one_set(stage_of, monkeypatch) -> None:
    stage = stage_of(lambda values, condition: values[:, 0])
    sampler = DiscriminatorRejection(stage, gamma=0.0, burn_in=0, batch_size=64)
    seen: list[float] = []
    plain = sampler.accept

    def accept(scores: torch.Tensor) -> torch.Tensor:
        found = plain(scores)
        seen.append(sampler._best.item())
        return found

    monkeypatch.setattr(sampler, "accept", accept)
    assert stage.sample(600, sampler=sampler).shape == (600, 1, 1, 1)  # three calls
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_the_threshold_variant(stage_of) -> None:
    stage = stage_of(log_ratio, PRIOR)
    sampler = DiscriminatorRejection(stage, variant="threshold", threshold=0.5)
    scores = torch.tensor([0.5, 1.5, -3.5])
    assert sampler.accept(scores).tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(4))])
    density = torch.sigmoid(RATIO.log() - 0.5)
    assert agrees(histogram(stage.sample(20_000, sampler=sampler)), density / density.sum())
    assert sampler.accepted / sampler.drawn == pytest.approx(density.mean().item(), abs=0.01)


def test_scores_of_patches_are_averaged(stage_of) -> None:
    def patches(values: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        s = log_ratio(values, condition)
        return torch.stack([s - 1, s + 2, s - 1, s], 1).view(-1, 2, 2)

    stage, same = stage_of(patches, PRIOR), stage_of(log_ratio, PRIOR)
    found, expected = (
        one.sample(200, sampler=DiscriminatorRejection(one, gamma=0.0, burn_in=100)) for one in (stage, same)
    )
    assert torch.equal(found, expected)


def test_what_it_cannot_do_is_told(stage_of, undiscriminating) -> None:
    stage = stage_of(lambda values, condition: torch.full((len(values),), -40.0))
    with pytest.raises(ValueError, match=r"^percentile is in percent: write 80, not 0\.8$"):
        DiscriminatorRejection(stage, percentile=0.8)
    for options, remedy in (
        ({"variant": "threshold"}, "lower threshold"),
        ({"gamma": 99.0}, "lower gamma or percentile"),
    ):
        sampler = DiscriminatorRejection(stage, burn_in=10, batch_size=32, tries=4, **options)
        with pytest.raises(ValueError) as caught:
            stage.sample(16, sampler=sampler)
        said = f"the discriminator accepted 0 of 64 candidates; {remedy}, raise tries, or use top-k"
        assert str(caught.value) == said
    broken = stage_of(lambda values, condition: values[:, 0] / 0)
    with pytest.raises(ValueError, match=r"^some of the discriminator's scores are not finite: its training diverged$"):
        broken.sample(4, sampler=DiscriminatorRejection(broken, burn_in=10))
    sampler = DiscriminatorRejection(undiscriminating)
    sampler.component_name = "discriminator-rejection"
    with pytest.raises(ValueError) as caught:
        undiscriminating.sample(4, sampler=sampler)
    said = "the sampler 'discriminator-rejection' needs a stage that gives a discriminator; 'alone' gives generator"
    assert str(caught.value) == said
