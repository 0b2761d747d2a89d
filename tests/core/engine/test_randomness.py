"""Every stream is a pure function of the seed, the purpose and the position."""

from __future__ import annotations

import random

import numpy
import torch

from ganvas.engine.randomness import Randomness

CPU = torch.device("cpu")


def torch_draws(randomness: Randomness, *words: object) -> list[float]:
    rng = randomness.at(*words)
    return [*torch.rand(2).tolist(), *torch.rand(2, generator=rng).tolist()]


def other_draws(randomness: Randomness, *words: object) -> list[float]:
    randomness.others(*words)
    return [random.random(), *numpy.random.rand(2).tolist()]


def test_the_draws_do_not_depend_on_what_happened_before() -> None:
    first, others = torch_draws(Randomness(5, CPU), "gan", 3, 0), other_draws(Randomness(5, CPU), "iteration", 3)
    randomness = Randomness(5, CPU)
    torch.manual_seed(1), random.seed(2), numpy.random.seed(3)
    torch_draws(randomness, "gan", 2, 0)
    assert torch_draws(randomness, "gan", 3, 0) == first
    assert other_draws(randomness, "iteration", 3) == others
    assert torch_draws(randomness, "gan", 3, 0) == first


def test_seeds_words_and_counters_all_count() -> None:
    words = [("gan", 3, 0), ("gan", 0, 3), ("gan", 3, 1), ("gan", 30), ("gan3", 0), ("data", 3, 0), ()]
    drawn = [tuple(torch_draws(Randomness(seed, CPU), *some)) for seed in (0, 1) for some in words]
    assert len(set(drawn)) == len(drawn)
    others = [tuple(other_draws(Randomness(seed, CPU), *some)) for seed in (0, 1) for some in words]
    assert len(set(others)) == len(others)


def test_the_engines_own_generator_does_not_repeat_torchs() -> None:
    drawn = torch_draws(Randomness(0, CPU), "gan")
    assert drawn[:2] != drawn[2:]


def test_numbers_stay_the_same_for_ever() -> None:
    # Another digest, and no run that stopped before goes on as it began.
    assert Randomness(0, CPU).number("order", "", 0) == 10989490870484759510
