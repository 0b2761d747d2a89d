"""What plugins failed with while a stage trained, kept in the user's cache folder for ``ganvas plugins``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import traceback
from pathlib import Path
from urllib.parse import quote

from ganvas.registry.cache import cache_folder, write_cached

__all__ = ["forget_failure", "keep_failure", "last_failure"]


def keep_failure(plugin: str, origin: str, what: str, error: BaseException) -> None:
    """Keeps the last failure of a plugin, known by its name and origin: what failed, when, with the traceback."""
    trace = "".join(traceback.format_exception(error))
    found = {"plugin": plugin, "what": what, "when": time.strftime("%Y-%m-%d %H:%M:%S"), "traceback": trace}
    write_cached(_file(plugin, origin), json.dumps(found, indent=1).encode())


def forget_failure(plugin: str, origin: str) -> None:
    """The plugin works again."""
    with contextlib.suppress(OSError):
        _file(plugin, origin).unlink(missing_ok=True)


def last_failure(plugin: str, origin: str) -> tuple[str, str] | None:
    """What a plugin last failed with, if it did not get through a stage since: one line, and the traceback."""
    try:
        found = json.loads(_file(plugin, origin).read_text(encoding="utf-8"))
        return f"{found['what']} failed, last on {found['when']}", found["traceback"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(plugin: str, origin: str) -> Path:
    digest = hashlib.blake2b(origin.encode(), digest_size=4).hexdigest()
    return cache_folder() / "failed-plugins" / f"{quote(plugin, safe='')}-{digest}.json"
