"""Samples of two runs: from the same latents, or what keeps them apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ganvas import Latents
from ganvas.registry.documents import Mistakes
from ganvas.runs import finding


class Pretend:
    """A stage that shows its seed in images of a shape."""

    def __init__(self, shape: tuple[int, ...] | None, latent: int = 4, seed: int = 0) -> None:
        generator = SimpleNamespace(latents=Latents({"z": latent}))
        self.algorithm = SimpleNamespace(products=lambda: {"generator": generator})
        self.shape, self.seed = shape, seed

    def sample(self, number: int, seed: int) -> torch.Tensor:
        if self.shape is None:
            raise ValueError("the stage 'attributes' (classifier) draws no samples")
        return torch.full((number, *self.shape), float(seed))


def both(monkeypatch: pytest.MonkeyPatch, first: Pretend, second: Pretend) -> tuple[torch.Tensor, str]:
    stages = {Path("a"): first, Path("b"): second}
    monkeypatch.setattr(finding, "open_stage", lambda path, device: stages[path])
    pair: Any = [SimpleNamespace(folder=SimpleNamespace(path=path)) for path in stages]
    return finding.samples_of_both(pair, 3, "cpu")


def test_samples_of_both_correspond(monkeypatch) -> None:
    images, shared = both(monkeypatch, Pretend((1, 8, 8), seed=5), Pretend((1, 8, 8), seed=6))
    assert images.shape == (6, 1, 8, 8)
    assert images.unique().tolist() == [5]
    assert shared == "latents"
    assert both(monkeypatch, Pretend((1, 8, 8)), Pretend((1, 8, 8), latent=5))[1] == "seed"


def test_samples_that_no_picture_shows_are_refused(monkeypatch) -> None:
    with pytest.raises(Mistakes) as caught:
        both(monkeypatch, Pretend((1, 8, 8)), Pretend((3, 8, 16)))
    assert str(caught.value) == "b: its samples are 3x8x16, the other's 1x8x8: no picture shows both"
    with pytest.raises(Mistakes) as caught:
        both(monkeypatch, Pretend((1, 8, 8)), Pretend(None))
    assert str(caught.value) == "b: the stage 'attributes' (classifier) draws no samples"
