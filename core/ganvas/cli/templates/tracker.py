"""``tracker: template-name``."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from ganvas import Tracker, hookimpl
from ganvas.registry.hooks import StageRecord
from pydantic import Field

HEADER = ["iteration", "images", "scalar", "value"]


class Template(Tracker):
    """Scalars as a table of four columns in the stage's folder, for spreadsheets and data frames.

    One row per scalar and log point: iterations done, images seen, the scalar's name, its value. A run that goes on
    after it was killed first drops the rows from beyond its checkpoint, so each log point stands there once.

    Source: the format is that of Shafranovich, "Common Format and MIME Type for Comma-Separated Values (CSV) Files",
    RFC 4180, 2005.
    """

    def __init__(
        self,
        *,
        file: Annotated[
            str, Field(pattern=r"^[\w.-]+$", description="its name, in the stage's folder")
        ] = "scalars.csv",
    ) -> None:
        self.file = file

    @hookimpl
    def ganvas_stage_started(self, stage: StageRecord) -> None:
        path = stage.folder / self.file
        kept: list[list[str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if len(row) == len(HEADER)]  # a crash may cut the last one off
            kept = [row for row in rows[1:] if int(row[0]) <= stage.resumed_at]
        path.unlink(missing_ok=True)
        _append(path, [HEADER, *kept])

    @hookimpl
    def ganvas_scalars(self, stage: StageRecord, index: int, images: int, scalars: Mapping[str, float]) -> None:
        _append(stage.folder / self.file, [[index, images, name, value] for name, value in scalars.items()])


def _append(path: Path, rows: Iterable[list[object]]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
