"""Counter-based randomness: every stream is a pure function of (seed, purpose, position)."""

from __future__ import annotations

import hashlib
import random

import numpy
import torch

__all__ = ["Randomness"]


class Randomness:
    """Seeds the global generators and a generator of the engine's own from (seed, words, counters).

    Nothing is carried over from one iteration to the next, so a resumed run draws what an uninterrupted one would.

    Args:
        rank: of one of several processes, each of which draws otherwise; None where there is but one, or where all draw
            the same.

    Attributes:
        rng: the engine's own generator.
        common: one that draws the same in all processes: what ``rng`` of a process by itself would.
    """

    def __init__(self, seed: int, device: torch.device, rank: int | None = None) -> None:
        self.seed = seed
        self.device = device
        self.rank = rank
        self.rng = torch.Generator(device=device)
        self.common = self.rng if rank is None else torch.Generator(device=device)
        # torch.manual_seed costs a hundred times more than seeding the generators that are in use.
        self._generators = [torch.default_generator, self.rng]
        if device.type == "cuda":
            self._generators.insert(1, torch.cuda.default_generators[device.index or 0])

    def number(self, *words: object) -> int:
        """A 64-bit number for a purpose."""
        text = f"{self.seed}|" + "|".join(map(str, words))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def own(self, *words: object) -> int:
        """The number of this process for a purpose."""
        return self.number(*words) if self.rank is None else self.number(*words, "rank", self.rank)

    def at(self, *words: object) -> torch.Generator:
        """Seeds everything for a purpose and returns the generator on the training device."""
        number = self.own(*words)
        if self.rank is not None:
            whole = self.number(*words) + len(self._generators) - 1
            self.common.manual_seed(whole & 0x7FFF_FFFF_FFFF_FFFF)
        for offset, generator in enumerate(self._generators):
            generator.manual_seed((number + offset) & 0x7FFF_FFFF_FFFF_FFFF)
        return self.rng

    def others(self, *words: object) -> None:
        """Seeds Python's and numpy's global generators too, for plugins that draw from them. Once per iteration."""
        number = self.own(*words)
        random.seed(number)
        numpy.random.seed(number & 0xFFFF_FFFF)
