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
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.device = device
        self.rng = torch.Generator(device=device)
        # torch.manual_seed costs a hundred times more than seeding the generators that are in use.
        self._generators = [torch.default_generator, self.rng]
        if device.type == "cuda":
            self._generators.insert(1, torch.cuda.default_generators[device.index or 0])

    def number(self, *words: object) -> int:
        """A 64-bit number for a purpose."""
        text = f"{self.seed}|" + "|".join(map(str, words))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def at(self, *words: object) -> torch.Generator:
        """Seeds everything for a purpose and returns the generator on the training device."""
        number = self.number(*words)
        for offset, generator in enumerate(self._generators):
            generator.manual_seed((number + offset) & 0x7FFF_FFFF_FFFF_FFFF)
        return self.rng

    def others(self, *words: object) -> None:
        """Seeds Python's and numpy's global generators too, for plugins that draw from them. Once per iteration."""
        number = self.number(*words)
        random.seed(number)
        numpy.random.seed(number & 0xFFFF_FFFF)
