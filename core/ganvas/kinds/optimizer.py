"""The contract of an optimizer: one of torch's, with options that may change while training."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from ganvas.kinds.options import Position, Scheduled

__all__ = ["Optimizer"]


class Optimizer(ABC):
    """Builds a ``torch.optim`` optimizer and moves its scheduled options."""

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer over these parameters."""

    @functools.cached_property
    def scheduled(self) -> bool:
        """Whether any option changes while training."""
        values = [v for value in vars(self).values() for v in (value if isinstance(value, tuple) else (value,))]
        return any(isinstance(value, Scheduled) and not value.constant for value in values)

    def settings(self, position: Position) -> dict[str, object]:
        """What changes while training, by the name it has in torch's parameter groups; empty where nothing does."""
        changing: dict[str, object] = {}
        for name, value in vars(self).items():
            if isinstance(value, Scheduled) and not value.constant:
                changing[name] = value.at(position)
            elif isinstance(value, tuple) and any(isinstance(v, Scheduled) and not v.constant for v in value):
                changing[name] = tuple(Scheduled.of(v).at(position) for v in value)
        return changing
