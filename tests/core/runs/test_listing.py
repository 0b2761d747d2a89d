"""What lies in the runs folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ganvas.runs.folders import MODEL, RECORD, StageFolder
from ganvas.runs.listing import stages_on_disk


def stage(runs: Path, where: str, finished: bool = True, **record: object) -> Path:
    path = runs / where
    path.mkdir(parents=True)
    StageFolder(path).write(**record)
    if finished:
        (path / MODEL).touch()
    return path


def test_every_stage_with_its_size_and_its_users(tmp_path: Path) -> None:
    features = stage(tmp_path, "a/features/000000000001", key="000000000001", steps=10)
    used = {"features": {"key": "000000000001", "parts": {}}}
    gan = stage(tmp_path, "b/gan/loss-hinge-000000000002", False, key="000000000002", steps=50, ancestors=used)
    (gan / "checkpoints").mkdir()
    for name in ("000000010.safetensors", "000000020.safetensors", ".000000030.safetensors.7.part"):
        (gan / "checkpoints" / name).write_bytes(b"x" * 100)
    old = stage(tmp_path, "a/features/000000000001.old-20260101-000000", key="000000000001", steps=10)
    (tmp_path / "a" / "features" / ".guard").touch()
    (tmp_path / "a" / "last.json").write_text("{}")
    os.utime(features / RECORD, (86400, 86400))

    found = {one.folder: one for one in stages_on_disk(tmp_path)}
    assert list(found) == [str(features), str(old), str(gan)]
    one = found[str(features)]
    assert (one.experiment, one.stage, one.label, one.key) == ("a", "features", "", "000000000001")
    assert (one.status, one.steps, one.done) == ("finished", 10, 10)
    assert one.used == time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(86400))
    assert one.used_by == [str(gan)]
    one = found[str(gan)]
    assert (one.experiment, one.stage, one.label, one.key) == ("b", "gan", "loss-hinge", "000000000002")
    assert (one.status, one.steps, one.done, one.used_by) == ("unfinished", 50, 20, [])
    assert one.size == 300 + (gan / RECORD).stat().st_size
    assert (found[str(old)].status, found[str(old)].label, found[str(old)].used_by) == ("old", "", [])
    assert set(one.json()) == {
        *("experiment", "stage", "label", "key", "folder", "status"),
        *("steps", "done", "size", "used", "used_by"),
    }


def test_an_experiment_that_reused_a_stage_uses_it(tmp_path: Path) -> None:
    features = stage(tmp_path, "a/features/000000000001", key="000000000001")
    used = {"features": {"key": "000000000001", "parts": {}}}
    gan = stage(tmp_path, "b/gan/000000000002", key="000000000002", ancestors=used)
    last = {
        "a": {"features": "features/000000000001"},  # its own
        "b": {"features": "../a/features/000000000001", "gan": "gan/000000000002"},  # whose gan is told already
        "c": {"gan": "../b/gan/000000000002"},
    }
    for name, stages in last.items():
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "last.json").write_text(json.dumps({"stages": stages}))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "last.json").write_text("no JSON")
    found = {one.folder: one.used_by for one in stages_on_disk(tmp_path)}
    assert found == {str(features): [str(gan)], str(gan): [str(tmp_path / "c")]}


def test_no_runs(tmp_path: Path) -> None:
    assert stages_on_disk(tmp_path / "nowhere") == []
