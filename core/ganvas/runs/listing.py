"""What lies in the runs folder: every stage, its size, and who uses it. No torch here: it answers at once."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganvas.engine.errors import ResourceError
from ganvas.runs.folders import LAST, RECORD, StageFolder, last_stages

__all__ = ["StageOnDisk", "described", "stages_on_disk"]


@dataclass
class StageOnDisk:
    """One stage's folder.

    Attributes:
        status: ``finished``, ``unfinished``, or ``old`` where ``--fresh`` trained it anew since.
        steps, done: iterations asked for, and those that are trained and saved.
        size: in bytes. used: when it was trained or reused last, as ISO 8601.
        used_by: the folders of stages that were trained with it, directly or not, and of the other experiments whose
            last training reused it as it is.
    """

    experiment: str
    stage: str
    label: str
    key: str
    folder: str
    status: str
    steps: int
    done: int
    size: int
    used: str
    used_by: list[str]

    def json(self) -> dict[str, Any]:
        return asdict(self)


def stages_on_disk(runs: Path) -> list[StageOnDisk]:
    """Every stage below the runs folder, by experiment, stage and folder."""
    folders = [StageFolder.open(record.parent) for record in sorted(runs.glob(f"*/*/*/{RECORD}"))]
    users: dict[str, list[str]] = {}
    for folder in folders:
        for ancestor in folder.record.get("ancestors", {}).values():
            users.setdefault(ancestor["key"], []).append(str(folder.path))
    reused: dict[Path, list[Path]] = {}
    for last in sorted(runs.glob(f"*/{LAST}")):
        with suppress(ResourceError):  # a damaged one tells nothing of who uses what
            for place in last_stages(last.parent).values():
                reused.setdefault(place.resolve(), []).append(last.parent)
    found = []
    for folder in folders:
        used_by = list(users.get(folder.record.get("key", ""), ()))
        for experiment in reused.get(folder.path.resolve(), ()):
            # Where a stage of an experiment uses it already, the experiment need not be told as well.
            if experiment != folder.path.parents[1] and all(experiment not in Path(user).parents for user in used_by):
                used_by.append(str(experiment))
        if folder.record:
            found.append(described(folder, used_by))
    return found


def described(folder: StageFolder, used_by: list[str]) -> StageOnDisk:
    """A stage's folder, as it lies."""
    path, record = folder.path, folder.record
    key, steps = record.get("key", ""), record.get("steps", 0)
    old = ".old-" in path.name
    saved = [int(file.stem) for file in folder.checkpoints.glob("[0-9]*.safetensors") if file.stem.isdigit()]
    used = time.localtime((path / RECORD).stat().st_mtime)
    return StageOnDisk(
        experiment=path.parent.parent.name,
        stage=path.parent.name,
        label=path.name.partition(".old-")[0].removesuffix(key).removesuffix("-"),
        key=key,
        folder=str(path),
        status="old" if old else "finished" if folder.finished else "unfinished",
        steps=steps,
        done=steps if folder.finished else max(saved, default=0),
        size=_size(path),
        used=time.strftime("%Y-%m-%dT%H:%M:%S%z", used),
        used_by=[] if old else used_by,
    )


def _size(folder: Path) -> int:
    """Bytes of all files below; one that goes while we look counts nothing."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:
                continue
    return total
