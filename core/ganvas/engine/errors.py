"""What can stop training, besides a user's mistake in the spec. Each has an exit status of its own."""

from __future__ import annotations

__all__ = ["BrokenState", "NonFinite", "RankLost", "ResourceError", "Stopped"]


class NonFinite(Exception):
    """A term became infinite or no number."""


class Stopped(Exception):
    """A signal asked for the end; the state is saved. ``signal`` is its number."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal


class RankLost(Exception):
    """A process of a training in several ended before the others. Empty where another one tells it."""


class ResourceError(Exception):
    """Disk, memory, weights or data are not what training needs; one line says what to do."""


class BrokenState(Exception):
    """A saved state that cannot be read or belongs to something else."""
