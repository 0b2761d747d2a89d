"""The best-scored share of the candidates, under every condition."""

from __future__ import annotations

import math

import pytest
import torch

from ganvas import Latents
from ganvas_plugins.samplers.top_k import TopK


def value(values: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    return values[:, 0]


def test_the_whole_share_is_plain_sampling_to_the_bit(stage_of) -> None:
    stage = stage_of(value, Latents({"z": 3}))
    assert torch.equal(stage.sample(600, seed=4, sampler=TopK(stage, share=1.0)), stage.sample(600, seed=4))


@pytest.mark.parametrize(("share", "candidates"), [(0.3, 10), (0.5, 6), (0.29, 11)])
def test_the_best_are_kept_as_they_were_drawn(stage_of, share: float, candidates: int) -> None:
    stage = stage_of(value)
    rng = torch.Generator().manual_seed(7)
    drawn = torch.randn(64, 1, generator=rng).flatten()[:candidates]  # latents are drawn in blocks of 64
    third = drawn.sort().values[-3]
    images = TopK(stage, share=share).sample(3, None, torch.Generator().manual_seed(7))
    assert images.flatten().tolist() == [one for one in drawn.tolist() if one >= third]


def test_the_upper_half_of_a_normal_has_the_mean_of_its_absolute_value(stage_of) -> None:
    stage = stage_of(value)
    kept = stage.sample(20_000, seed=1, sampler=TopK(stage)).flatten()
    deviation = math.sqrt((1 - 2 / math.pi) / len(kept))
    # The bound is estimated from 500 candidates at a time, which takes no more than this from the mean.
    assert kept.mean().item() == pytest.approx(math.sqrt(2 / math.pi), abs=4 * deviation + 0.002)
    order = torch.arange(len(kept)).float() % 250
    assert abs(torch.corrcoef(torch.stack([order, kept]))[0, 1].item()) < 4 / math.sqrt(len(kept))


def test_every_condition_keeps_its_number_of_samples(stage_of, classes) -> None:
    def preferring(values: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return values[:, 0] + 100 * condition.argmax(1)

    stage = stage_of(preferring, condition=classes)
    rows = torch.eye(3)[torch.tensor([2, 0, 0, 1, 2, 0, 0])]
    images = TopK(stage, share=0.25).sample(len(rows), rows, torch.Generator().manual_seed(3))
    assert torch.equal(images[:, 0, 0, 1:], rows)
    # Four candidates are drawn for each sample, by condition: those of the last class come first.
    drawn = torch.randn(64, 1, generator=torch.Generator().manual_seed(3)).flatten()[:28]
    for number, start, stop in ((2, 0, 8), (1, 8, 12), (0, 12, 28)):
        mine = images[rows.argmax(1) == number, 0, 0, 0]
        assert sorted(mine.tolist()) == drawn[start:stop].sort().values[-len(mine) :].tolist()


def test_a_sample_with_a_condition_of_its_own_is_the_best_of_its_candidates(stage_of, classes) -> None:
    stage = stage_of(lambda values, condition: values[:, 0] * condition[:, 0].sign(), condition=classes)
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    images = TopK(stage, share=0.2).sample(5, rows, torch.Generator().manual_seed(3))
    drawn = torch.randn(64, 1, generator=torch.Generator().manual_seed(3))[:25].view(5, 5)
    order = rows[:, 0].argsort()  # distinct rows stand sorted
    best = [(one.max() if rows[place, 0] > 0 else one.min()).item() for place, one in zip(order, drawn, strict=True)]
    assert images[order, 0, 0, 0].tolist() == best
    assert torch.equal(images[:, 0, 0, 1:], rows)


def test_what_it_cannot_do_is_told(stage_of, undiscriminating) -> None:
    broken = stage_of(lambda values, condition: values[:, 0] * torch.nan)
    with pytest.raises(ValueError, match=r"^some of the discriminator's scores are not finite: its training diverged$"):
        broken.sample(4, sampler=TopK(broken))
    sampler = TopK(undiscriminating)
    sampler.component_name = "top-k"
    with pytest.raises(ValueError) as caught:
        undiscriminating.sample(4, sampler=sampler)
    assert str(caught.value) == "the sampler 'top-k' needs a stage that gives a discriminator; 'alone' gives generator"
