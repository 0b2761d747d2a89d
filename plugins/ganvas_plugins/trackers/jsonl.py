"""``tracker: jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ganvas import Tracker, hookimpl
from ganvas.registry.hooks import StageRecord


class JsonLines(Tracker):
    """One JSON object per log point in ``metrics.jsonl``: iteration, images seen, scalars by tag. Always on.

    A resumed run cuts the file at its checkpoint first, so each logged iteration stands there once.
    Source: the format is JSON Lines, jsonlines.org.
    """

    def __init__(self) -> None:
        self.file: IO[str] | None = None

    @hookimpl
    def ganvas_stage_started(self, stage: StageRecord) -> None:
        path = stage.folder / "metrics.jsonl"
        if path.exists():
            with open(path, "rb+") as file:
                file.truncate(_end_of(path, stage.resumed_at))
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the stage trains)

    @hookimpl
    def ganvas_scalars(self, stage: StageRecord, index: int, images: int, scalars: Mapping[str, float]) -> None:
        if self.file is not None:
            self.file.write(json.dumps({"iteration": index, "images": images, **scalars}) + "\n")
            self.file.flush()  # a checkpoint may follow, and after a crash there nothing may lack here

    @hookimpl
    def ganvas_stage_finished(self, stage: StageRecord, metrics: Mapping[str, Any]) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def _end_of(path: Path, iteration: int) -> int:
    """Where in the file the lines up to an iteration end; a line that was cut off by a crash does not count."""
    end = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                if json.loads(line)["iteration"] > iteration or not line.endswith(b"\n"):
                    break
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
    return end
