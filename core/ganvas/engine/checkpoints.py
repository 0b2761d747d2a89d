"""Where a training's states lie: the newest few, any of which may turn out to be damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganvas.engine import states
from ganvas.engine.errors import BrokenState, ResourceError

__all__ = ["Checkpoints"]


class Checkpoints:
    """The states in a folder, one file each, named by the iterations that were done.

    Args:
        keep: how many stay, the newest.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.safetensors"))

    def last(self) -> str:
        """For messages: where the newest state is."""
        saved = self.paths()
        return f"the last good state is {saved[-1]}" if saved else "no state was saved yet"

    def newest(self, warn: Callable[[str], None]) -> tuple[Any, Path | None]:
        """The newest state that can be read; a damaged one is named in a warning and the one before is used."""
        found = self.paths()
        for path in reversed(found):
            try:
                return states.load(path), path
            except BrokenState as error:
                warn(f"{error}; going back to the checkpoint before")
        if found:
            warn("no checkpoint can be read: training starts from the beginning")
        return None, None

    def path(self, index: int) -> Path:
        """Where the state after so many iterations lies."""
        return self.folder / f"{index:09d}.safetensors"

    def save(self, index: int, tree: dict[str, Any]) -> Path:
        """Writes a state and removes the oldest. Raises ``ResourceError``."""
        path = self.path(index)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{self.folder} cannot be written: {error.strerror}") from error
        states.save(path, tree)
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)
        for part in self.folder.glob(".*.part"):  # left by a process that was killed while it wrote
            part.unlink(missing_ok=True)
        return path
