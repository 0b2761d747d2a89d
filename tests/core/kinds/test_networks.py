"""Contracts of the networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ganvas import Generator, Latents


class Doubles(Generator):
    latents = Latents({"z": 3})

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 * latents + (0 if condition is None else condition)


def test_a_generator_truncates_by_pulling_its_latents() -> None:
    latents, condition = torch.randn(4, 3), torch.randn(4, 3)
    assert torch.equal(Doubles().truncated(latents, condition, 0.5), latents + condition)
    assert torch.equal(Doubles().truncated(latents, None, 1.0), Doubles()(latents))


def test_styles_are_offered_by_those_that_have_them() -> None:
    for ask in (Doubles().styles, Doubles().synthesize):
        with pytest.raises(NotImplementedError, match="Doubles has no styles"):
            ask(torch.zeros(1, 3))
