"""What the looks at a training say, in words: a pure function of what they saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = [
    "DIVERSITY",
    "DRIFT",
    "GAP",
    "HELD_OUT",
    "IMBALANCE",
    "OVERFITTING",
    "PERSISTENT",
    "SEPARATION",
    "SIGNAL",
    "SPENT",
    "Point",
    "amount",
    "findings",
    "variety",
]

GAP, HELD_OUT = "scores/gap.training", "scores/gap.held-out"
SEPARATION, SIGNAL = "scores/health.separation", "scores/health.signal"
OVERFITTING = "scores/health.overfitting"
DIVERSITY, DRIFT, IMBALANCE = "scores/health.diversity", "scores/health.drift", "scores/health.imbalance"

# When something is worth a line. All but the first have to hold at PERSISTENT looks in a row: one may be chance.
FALLEN = 0.5  # of the diversity there was; samples of a hundred and more give it to a few per cent
POOR = 0.1  # diversity that no data set's good samples have; an untrained generator has it, so not from the start
YOUNG = 5  # looks, that is a tenth of a training at the default, after which a generator should have left that state
PERSISTENT = 3
SPENT = 0.01  # of the discriminator's signal is left: it learns a hundred times slower than it could
FOOLED = 0.001  # of the pairs of a real and a fake are ranked right: with a hundred of each, a handful
OVERFIT = 0.5  # of the gap is lost on held-out samples; 0 is none, 1 is all of it (ADA's r_v)
TELLING = 0.75  # of the pairs: below, the gap is hardly wider than the scores of a hundred samples scatter
MOVED = 0.7  # of the fakes are of other classes than at the last look, and as many too few of all others: few at a time


@dataclass
class Point:
    """What one look saw.

    Attributes:
        images: seen by then.
        values: the numbers, by tag.
        still: terms that did not change in the last looks, for no known reason: tag -> value, and since which images.
        histogram: share of each class among the fakes; empty where none are drawn.
    """

    images: int
    values: Mapping[str, float]
    still: Mapping[str, Sequence[float]] = field(default_factory=dict)
    histogram: Sequence[float] = ()


def findings(history: Sequence[Point]) -> dict[str, str]:
    """What the looks say, the last one's point of view: what it is about -> one line, the worst first."""
    if not history:
        return {}
    last, recent = history[-1], history[-PERSISTENT:]
    grown = len(history) >= YOUNG + PERSISTENT

    def lasting(tag: str, holds: Callable[[float], bool]) -> bool:
        return len(recent) == PERSISTENT and all(tag in p.values and holds(p.values[tag]) for p in recent)

    found: dict[str, str] = {}
    if (diversity := last.values.get(DIVERSITY)) is not None:
        best = max(history, key=variety)
        fallen = 1 - diversity / variety(best) if variety(best) > POOR else 0.0
        if fallen >= FALLEN:
            found["diversity"] = f"diversity fell by {fallen:.0%} since {amount(best.images)} images: collapse?"
        elif grown and lasting(DIVERSITY, lambda value: value < POOR):
            found["diversity"] = f"samples differ {diversity:.0%} as much as real images do: collapse?"
    duels = [tag.removeprefix(SEPARATION) for tag in last.values if tag.startswith(SEPARATION)]
    for suffix in duels:
        who = f"discriminator{suffix.replace('-', ' ', 1)}"
        if grown and lasting(SIGNAL + suffix, lambda value: value <= SPENT):
            found[f"saturated{suffix}"] = f"{who} saturated: no sample is left that its loss could be smaller on"
        if lasting(SEPARATION + suffix, lambda value: value <= FOOLED):
            found[f"fooled{suffix}"] = f"{who} fooled: it scores every fake above every real image"
    for suffix in duels:
        who = f"discriminator{suffix.replace('-', ' ', 1)}"
        if lasting(OVERFITTING + suffix, lambda value: value >= OVERFIT) and lasting(
            SEPARATION + suffix, lambda value: value >= TELLING
        ):
            gaps = (last.values[tag + suffix] for tag in (GAP, HELD_OUT))
            known = "(gap {:.2g} on them, {:.2g} on held-out ones)".format(*gaps)
            found[f"overfitting{suffix}"] = f"the {who} knows its training images {known}"
    if grown and lasting(DRIFT, lambda value: value >= MOVED) and lasting(IMBALANCE, lambda value: value >= MOVED):
        moved = f"{last.values[DRIFT]:.0%} of the samples are of other classes than at {amount(history[-2].images)}"
        found["drift"] = f"{moved} images: going round in modes?"
    for tag, (value, since) in last.still.items():
        what = "is 0" if value == 0 else f"stands at {value:.3g}"
        found[f"still {tag}"] = f"the term {tag} {what} since {amount(int(since))} images: dead, or without weight?"
    return found


def variety(point: Point) -> float:
    """Its diversity, in [0, 1]: what is beyond that of the data is noise."""
    return max(0.0, min(point.values.get(DIVERSITY, 0.0), 1.0))


def amount(images: int) -> str:
    """12000 -> ``12k``."""
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if images >= size:
            return f"{images / size:.3g}{unit}"
    return str(images)
