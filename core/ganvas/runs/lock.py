"""One writer per folder: a lock with host, process and heartbeat."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganvas.engine.errors import ResourceError

__all__ = ["Lock"]

BEAT = 5.0  # seconds between heartbeats
DEAD = 60.0  # a writer on another host that was silent this long is dead


class Lock:
    """Holds a folder while it is written to; a dead writer is taken over.

    On one host the process tells whether the writer lives; between hosts its heartbeat (the file's time) does.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "lock.json"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, waiting: Callable[[str], None]) -> bool:
        """Waits for the folder. ``waiting`` is told once whom it waits for. Returns whether it had to wait."""
        waited = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while not self._take():
                if not waited:
                    waited = True
                    waiting(f"{self.folder} is being written by {self.holder() or 'another'}; waiting for it")
                time.sleep(0.5)
        except OSError as error:
            raise ResourceError(f"the folder {self.folder} cannot be written: {error.strerror}") from error
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return waited

    def release(self) -> None:
        if self._thread is None:  # never acquired: the file is another's
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        owner = self._owner()
        if owner is not None and owner.get("pid") == os.getpid() and owner.get("host") == socket.gethostname():
            self.file.unlink(missing_ok=True)

    def holder(self) -> str | None:
        """Who writes to the folder now, in words; None if nobody does."""
        owner = self._owner()
        if owner is None or not self._alive(owner):
            return None
        return f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"

    def _take(self) -> bool:
        # The guard makes "look whether it is dead, then take it over" one step among the processes of this host.
        with open(self.folder / ".lock-guard", "w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            owner = self._owner()
            if owner is not None and self._alive(owner):
                return False
            mine = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
            aside = self.file.with_name(f".lock.{os.getpid()}")
            aside.write_text(json.dumps(mine))
            os.replace(aside, self.file)
            return True

    def _owner(self) -> dict[str, Any] | None:
        try:
            return json.loads(self.file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}

    def _alive(self, owner: dict[str, Any]) -> bool:
        if owner.get("host") == socket.gethostname():
            pid = owner.get("pid")
            return isinstance(pid, int) and _started(pid) == owner.get("started") and _started(pid) is not None
        try:
            return time.time() - self.file.stat().st_mtime < DEAD
        except FileNotFoundError:
            return False

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                os.utime(self.file)
            except OSError:
                return


def _started(pid: int) -> str | None:
    """When a process started, so that a number that was given out again is not taken for the old process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "?"
