"""How stages are found again on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import ganvas
from ganvas.engine.errors import ResourceError
from ganvas.runs.comparison import find_runs
from ganvas.runs.folders import MODEL, RECORD, StageFolder, claim, find_finished, find_shorter, newest_sibling, to_yaml
from ganvas.runs.table import gather


def stage(runs: Path, where: str, *, finished: bool = True, **record: Any) -> Path:
    path = runs / where
    path.mkdir(parents=True)
    StageFolder(path).write(**record)
    if finished:
        (path / MODEL).touch()
    return path


def test_a_record_is_updated_and_read_again(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    assert StageFolder.open(tmp_path).record == {}
    folder.write(key="abc", metrics={"x": 1})
    folder.write(metrics={"y": 2})
    again = StageFolder.open(tmp_path)
    assert again.record == {"key": "abc", "metrics": {"y": 2}}
    assert again.metrics == {"y": 2}
    assert not again.finished
    assert again.checkpoints == tmp_path / "checkpoints"
    (tmp_path / RECORD).write_text("{")
    assert StageFolder.open(tmp_path).record == {}


def test_a_finished_stage_is_found_anywhere_by_its_key(tmp_path: Path) -> None:
    assert find_finished(tmp_path, "0123456789ab") is None
    stage(tmp_path, "first/gan/0123456789ab", finished=False, key="0123456789ab")
    stage(tmp_path, "first/gan/x-0123456789ab", key="another")
    stage(tmp_path, "first/gan/0123456789ab.old-20260101-000000", key="0123456789ab")
    assert find_finished(tmp_path, "0123456789ab") is None
    there = stage(tmp_path, "other/pictures/loss=hinge-0123456789ab", key="0123456789ab")
    found = find_finished(tmp_path, "0123456789ab")
    assert found is not None
    assert found.path == there


def test_a_key_has_one_folder_whatever_its_label(tmp_path: Path) -> None:
    gan, key = tmp_path / "small" / "gan", "0123456789ab"
    first = claim(gan, "loss-hinge", key)
    assert first == gan / f"loss-hinge-{key}"
    assert claim(gan, "", key) == claim(gan, "small", key) == first
    first.rename(gan / f"loss-hinge-{key}.old-20260101-000000")
    assert claim(gan, "", key) == gan / key
    assert claim(gan, "", "9876543210ab") == gan / "9876543210ab"
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError) as caught:
        claim(tmp_path / "file" / "gan", "", key)
    assert str(caught.value) == f"the folder {tmp_path}/file/gan cannot be written: Not a directory"


def test_a_use_is_noted_and_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    folder.touch()
    folder.write(key="abc")
    os.utime(tmp_path / RECORD, (1000, 1000))
    folder.touch()
    assert (tmp_path / RECORD).stat().st_mtime > 1000


def test_the_longest_of_the_shorter_ones(tmp_path: Path) -> None:
    same = {"key_without_steps": "k"}
    stage(tmp_path, "a/gan/1", steps=10, **same)
    longest = stage(tmp_path, "b/gan/2", steps=20, **same)
    stage(tmp_path, "a/gan/3", steps=25, finished=False, **same)
    stage(tmp_path, "a/gan/4", steps=28, key_without_steps="other")
    stage(tmp_path, "a/gan/5", steps=30, **same)
    stage(tmp_path, "a/gan/6.old-20260101-000000", steps=29, **same)
    found = find_shorter(tmp_path, "k", 30)
    assert found is not None
    assert found.path == longest
    assert find_shorter(tmp_path, "k", 10) is None


def test_the_sibling_that_was_written_to_last(tmp_path: Path) -> None:
    assert newest_sibling(tmp_path / "gan" / "new") is None
    for age, name in enumerate(["c", "a", "b"]):
        record = stage(tmp_path, f"gan/{name}", finished=False, key=name) / RECORD
        os.utime(record, (1000 - age, 1000 - age))
    (tmp_path / "gan" / "empty").mkdir()
    found = newest_sibling(tmp_path / "gan" / "new")
    assert found is not None
    assert found.record["key"] == "c"
    other = newest_sibling(tmp_path / "gan" / "c")
    assert other is not None
    assert other.record["key"] == "a"


def test_a_spec_as_yaml() -> None:
    assert to_yaml({"b": "no", "a": [1, 0.0001, True, None]}) == "b: no\na:\n- 1\n- 0.0001\n- true\n- null\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"stages": 3}', "{}"])
def test_a_damaged_last_json_is_one_line_wherever_it_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "last.json").write_text(text)
    for read in (
        ganvas.load,
        lambda run: gather([str(run)], (), run),
        lambda run: find_runs([str(run)], None, (), run),
    ):
        with pytest.raises(ResourceError) as caught:
            read(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path}/last.json cannot be read (")
        assert str(caught.value).endswith("; name a stage's folder, or train the spec again, which writes it anew")
