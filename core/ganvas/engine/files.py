"""Files that are whole at any instant. No torch here: what only lists runs answers at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ganvas.engine.errors import ResourceError

__all__ = ["write_atomically"]


def write_atomically(path: Path, content: bytes) -> None:
    """Writes aside, flushes to the disk, renames: after a crash there is the old file or the new one, never half."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"the disk is full: {path} could not be written (nothing older was touched)") from error
        raise ResourceError(f"{path} could not be written: {error.strerror}") from error
