"""Scalars between two log points, and the clock beside them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ganvas.engine.errors import NonFinite

__all__ = ["Clock", "Log"]


class Log:
    """Scalars between two log points, kept as tensors so that nothing waits for the device; read as their means.

    Args:
        everyone: gives what each of the processes that train together holds; None where there is but one.
    """

    def __init__(
        self, stage: str, device: torch.device, everyone: Callable[[list[Any]], list[list[Any]]] | None = None
    ) -> None:
        self.stage = stage
        self.device = device
        self.everyone = everyone
        self.pending: list[tuple[str, int, Tensor]] = []  # the index is -1 for what may be infinite
        self.known: dict[str, list[float]] = {}
        self.tags: dict[tuple[str, str], str] = {}

    def terms(self, index: int, update: str, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            tag = self.tags.get((update, name))
            if tag is None:
                tag = self.tags[update, name] = name if "/" in name else f"loss/{update}.{name}"
            self.pending.append((tag, index, value.detach()))

    def add(self, tag: str, value: Tensor) -> None:
        self.pending.append((tag, -1, value))

    def check(self, last: str) -> None:
        """Reads what is pending, all at once. Raises ``NonFinite`` for a term that is no number."""
        if self.pending or self.everyone is not None:
            self._check(last)

    def _check(self, last: str) -> None:
        tensors = [value for _, _, value in self.pending]
        if any(value.dtype is not torch.float32 or value.device != self.device for value in tensors):
            tensors = [value.to(self.device, torch.float32) for value in tensors]
        values = torch.stack(tensors).tolist() if tensors else []
        read = [(tag, index, value) for (tag, index, _), value in zip(self.pending, values)]
        if self.everyone is not None:
            placed = [(entry[1], place, entry) for part in self.everyone(read) for place, entry in enumerate(part)]
            # What came first stands first, whoever saw it: all of them complain of the same term.
            read = [entry for _, _, entry in sorted(placed, key=lambda seen: seen[:2])]
        for tag, index, value in read:
            if not math.isfinite(value) and index >= 0:
                raise NonFinite(
                    f"{self.stage}: the term {tag!r} became {value} in iteration {index + 1}; {last}. "
                    "A smaller learning rate, clip_gradients or a regularizer may help"
                )
            self.known.setdefault(tag, []).append(value)
        self.pending.clear()

    def flush(self, last: str) -> dict[str, float]:
        self.check(last)
        means = {tag: sum(values) / len(values) for tag, values in self.known.items()}
        self.known.clear()
        return means

    def state(self) -> dict[str, Any]:
        return {"known": self.known}

    def load(self, state: Mapping[str, Any]) -> None:
        self.known = {tag: list(values) for tag, values in state["known"].items()}


class Clock:
    """Images per second since the last reading."""

    def __init__(self, images: int) -> None:
        self.reset(images)

    def reset(self, images: int) -> None:
        self.images, self.time = images, time.perf_counter()

    def rate(self, images: int) -> float:
        rate = (images - self.images) / max(1e-9, time.perf_counter() - self.time)
        self.reset(images)
        return rate
