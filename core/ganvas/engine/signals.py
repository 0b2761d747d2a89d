"""Signals that ask a training to end."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["Signals"]


class Signals:
    """Notes SIGTERM, SIGUSR1 and SIGINT; the loop ends after its iteration. A second SIGINT ends at once."""

    NOTED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self) -> None:
        self.received = 0

    def __enter__(self) -> Signals:
        self.old: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.old = {number: signal.signal(number, self._note) for number in self.NOTED}
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)
