"""Averaged weights (EMA): parameters averaged once per iteration, buffers copied."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.kinds.options import Position, Scheduled

__all__ = ["Average"]


class Average:
    """Exponential moving average of some networks, with a half-life in images.

    A weight that is ``half_life`` images old counts half: decay = 0.5 ** (batch size / half_life).
    """

    def __init__(self, networks: Mapping[str, nn.Module], half_life: Scheduled, batch_size: int) -> None:
        self.networks = dict(networks)
        self.half_life = half_life
        self.batch_size = batch_size
        self.copies = {name: copy.deepcopy(network).requires_grad_(False) for name, network in networks.items()}
        self._live = [p.detach() for network in networks.values() for p in network.parameters()]
        self._mean = [p.detach() for network in self.copies.values() for p in network.parameters()]
        self._live_buffers = [b for network in networks.values() for b in network.buffers()]
        self._mean_buffers = [b for network in self.copies.values() for b in network.buffers()]

    @torch.no_grad()
    def update(self, position: Position) -> None:
        half_life = self.half_life.at(position)
        decay = 0.5 ** (self.batch_size / half_life) if half_life > 0 else 0.0
        torch._foreach_lerp_(self._mean, self._live, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        if self._live_buffers:
            torch._foreach_copy_(self._mean_buffers, self._live_buffers)  # pyright: ignore[reportPrivateImportUsage]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averaged weights inside the networks themselves; the live ones are back afterwards, bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        pairs: list[tuple[Tensor, Tensor]] = []
        for name, network in self.networks.items():
            mean = self.copies[name]
            pairs += zip(network.parameters(), mean.parameters())
            pairs += zip(network.buffers(), mean.buffers())
        for live, averaged in pairs:
            live.data, averaged.data = averaged.data, live.data

    def state(self) -> dict[str, Any]:
        return {name: network.state_dict() for name, network in self.copies.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        for name, network in self.copies.items():
            network.load_state_dict(state[name])
