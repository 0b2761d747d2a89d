"""What torchrun, or a scheduler that does as it does, tells a process in the environment. No torch here."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Launch", "launch"]

EXPECTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Launch(NamedTuple):
    """One process of several: its rank, in [0, size), and the same among those of its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def launch() -> Launch:
    """Which process this is; one by itself where the environment does not say all that is needed."""
    given = os.environ
    if any(name not in given for name in EXPECTED) or int(given["WORLD_SIZE"]) == 1:
        return Launch()
    rank, size = int(given["RANK"]), int(given["WORLD_SIZE"])
    return Launch(rank, size, int(given.get("LOCAL_RANK", rank)), int(given.get("LOCAL_WORLD_SIZE", size)))
