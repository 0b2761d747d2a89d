"""The user's cache folder: what is dear to compute is kept there, written whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

__all__ = ["cache_folder", "write_cached"]


def cache_folder() -> Path:
    """``$GANVAS_CACHE``, or ``~/.cache/ganvas``."""
    chosen = os.environ.get("GANVAS_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "ganvas"


def write_cached(path: Path, content: bytes) -> None:
    """Writes a cached file aside and renames it, so that no reader ever meets half of one.

    A cache that cannot be written is no error: what it would have held is computed again.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        logging.getLogger("ganvas").info("%s is not cached: %s", path, error)
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
