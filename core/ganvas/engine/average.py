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
        # Where buffers are kept, not the buffers: a module may put a new tensor in the place of an old one.
        self._live_buffers = _places(networks)
        self._mean_buffers = _places(self.copies)

    @torch.no_grad()
    def update(self, position: Position) -> None:
        half_life = self.half_life.at(position)
        decay = 0.5 ** (self.batch_size / half_life) if half_life > 0 else 0.0
        torch._foreach_lerp_(self._mean, self._live, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        if self._live_buffers:
            live = [kept[name] for kept, name in self._live_buffers]
            mean = [kept[name] for kept, name in self._mean_buffers]
            torch._foreach_copy_(mean, live)  # pyright: ignore[reportPrivateImportUsage]

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
        pairs: dict[int, tuple[Tensor, Tensor]] = {}  # by the live one: what two networks share is swapped once
        for name, network in self.networks.items():
            mean = self.copies[name]
            for live, averaged in [
                *zip(network.parameters(), mean.parameters()),
                *zip(network.buffers(), mean.buffers()),
            ]:
                pairs.setdefault(id(live), (live, averaged))
        for live, averaged in pairs.values():
            live.data, averaged.data = averaged.data, live.data

    def state(self) -> dict[str, Any]:
        """By network; what modules keep beside tensors (``get_extra_state``) is the live networks' own."""
        return {
            name: self.copies[name].state_dict()
            | {key: value for key, value in network.state_dict().items() if key.endswith("_extra_state")}
            for name, network in self.networks.items()
        }

    def load(self, state: Mapping[str, Any]) -> None:
        for name, network in self.copies.items():
            network.load_state_dict(state[name])


def _places(networks: Mapping[str, nn.Module]) -> list[tuple[dict[str, Any], str]]:
    """Every buffer, by the mapping that holds it and its name there."""
    return [
        (module._buffers, name)
        for network in networks.values()
        for module in network.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
