"""What is said of a training, from histories made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from ganvas.engine.findings import (
    DIVERSITY,
    DRIFT,
    GAP,
    HELD_OUT,
    IMBALANCE,
    OVERFITTING,
    SEPARATION,
    SIGNAL,
    Point,
    amount,
    findings,
)

WELL = {DIVERSITY: 0.9, DRIFT: 0.1, IMBALANCE: 0.2, SEPARATION: 0.9, SIGNAL: 0.5, GAP: 2.0}


def looks(*values: Mapping[str, float], still: Mapping[str, list[float]] | None = None) -> list[Point]:
    """A look every 2,000 images."""
    points = [Point(2000 * number, WELL | dict(one)) for number, one in enumerate(values, 1)]
    points[-1].still = still or {}
    return points


def said(*values: Mapping[str, float], still: Mapping[str, list[float]] | None = None) -> list[str]:
    return list(findings(looks(*values, still=still)).values())


def test_nothing_is_said_of_a_healthy_training() -> None:
    assert findings([]) == {}
    assert said(*[{}] * 12) == []
    # Early on a generator draws little, which the discriminator knows at once, of one class and then of another.
    early = {DIVERSITY: 0.02, SEPARATION: 1.0, SIGNAL: 0.0, DRIFT: 1.0, IMBALANCE: 0.9}
    for number in range(1, 8):
        assert said(*[early] * number) == []


def test_diversity_that_fell() -> None:
    assert said({DIVERSITY: 0.7}, {DIVERSITY: 0.36}) == []
    assert said({DIVERSITY: 0.7}, {DIVERSITY: 0.35}) == ["diversity fell by 50% since 2k images: collapse?"]
    assert said({}, {DIVERSITY: 1.0}, {DIVERSITY: 0.9}, {DIVERSITY: 0.1}) == [
        "diversity fell by 90% since 4k images: collapse?"
    ]
    # Noise may be more diverse than the data: coming down from there is no collapse.
    assert said({DIVERSITY: 3.0}, {DIVERSITY: 0.6}) == []
    assert said({DIVERSITY: 3.0}, {DIVERSITY: 0.4}) == ["diversity fell by 60% since 2k images: collapse?"]


def test_diversity_that_never_was() -> None:
    poor = [{DIVERSITY: 0.04}] * 8
    assert said(*poor[:7]) == []
    assert said(*poor) == ["samples differ 4% as much as real images do: collapse?"]
    assert said(*poor[:7], {DIVERSITY: 0.2}) == []


def test_a_saturated_discriminator() -> None:
    line = "discriminator saturated: no sample is left that its loss could be smaller on"
    spent = {SIGNAL: 0.01, SEPARATION: 1.0}
    assert said(*[spent] * 7) == []
    assert said(*[spent] * 8) == [line]
    assert said(*[spent] * 7, {SIGNAL: 0.011}) == []
    # A critic whose loss is never flat tells all apart, as it should.
    assert said(*[{SEPARATION: 1.0, SIGNAL: 1.0}] * 8) == []


def test_a_fooled_discriminator() -> None:
    line = "discriminator fooled: it scores every fake above every real image"
    assert said(*[{SEPARATION: 0.0}] * 2) == []
    assert said(*[{SEPARATION: 0.0}] * 3) == [line]
    assert said(*[{SEPARATION: 0.0}] * 2, {SEPARATION: 0.01}) == []


def test_a_discriminator_that_knows_its_training_images() -> None:
    learned = {OVERFITTING: 0.87, GAP: 3.1, HELD_OUT: 0.4}
    line = "the discriminator knows its training images (gap 3.1 on them, 0.4 on held-out ones)"
    assert said(*[learned] * 2) == []
    assert said(*[learned] * 3) == [line]
    assert said(*[learned | {OVERFITTING: 0.49}] * 3) == []
    assert said(*[learned | {SEPARATION: 0.7}] * 3) == []  # a gap that chance may make


def test_going_round_in_modes() -> None:
    moving = {DRIFT: 0.9, IMBALANCE: 0.8}
    assert said(*[{}] * 5, *[moving] * 2) == []
    assert said(*[{}] * 5, *[moving] * 3) == [
        "90% of the samples are of other classes than at 14k images: going round in modes?"
    ]
    assert said(*[{}] * 5, *[moving | {IMBALANCE: 0.3}] * 3) == []


def test_terms_that_stand_still() -> None:
    still = {"loss/generator.x": [0.0, 5000], "penalty/y": [2.5, 12_300_000]}
    assert said({}, still=still) == [
        "the term loss/generator.x is 0 since 5k images: dead, or without weight?",
        "the term penalty/y stands at 2.5 since 12.3M images: dead, or without weight?",
    ]


def test_the_worst_comes_first_and_each_duel_speaks_for_itself() -> None:
    bad = {DIVERSITY: 0.1, f"{SEPARATION}-a": 0.0, f"{SEPARATION}-b": 0.9, f"{SIGNAL}-b": 0.0}
    assert said(*[{}] * 5, *[bad] * 3, still={"loss/translators.z": [0.0, 2000]}) == [
        "diversity fell by 89% since 2k images: collapse?",
        "discriminator a fooled: it scores every fake above every real image",
        "discriminator b saturated: no sample is left that its loss could be smaller on",
        "the term loss/translators.z is 0 since 2k images: dead, or without weight?",
    ]


def test_amounts() -> None:
    told = {0: "0", 950: "950", 1000: "1k", 10_000: "10k", 12_800: "12.8k", 1_250_000: "1.25M"}
    assert {number: amount(number) for number in told} == told
