"""What is removed, what is refused, and that nothing else is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ganvas.cli import tables
from ganvas.registry.documents import Mistakes
from ganvas.runs.cleaning import plan, remove
from ganvas.runs.folders import MODEL, StageFolder
from ganvas.runs.lock import Lock


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two experiments: ``second`` trained its ``gan`` with the ``features`` of ``first``; ``third`` reused that gan."""
    monkeypatch.chdir(tmp_path)
    runs = Path("runs")
    features = {"features": {"key": "f" * 12, "parts": {}}}
    stage(runs, "first", "features", "f" * 12)
    stage(runs, "first", "gan", "a" * 12, ancestors=features)
    stage(runs, "second", "gan", "b" * 12, ancestors=features)
    for name, stages in {
        "first": {"features": "features/ffffffffffff", "gan": "gan/aaaaaaaaaaaa"},
        "second": {"features": "../first/features/ffffffffffff", "gan": "gan/bbbbbbbbbbbb"},
        "third": {"gan": "../second/gan/bbbbbbbbbbbb"},
    }.items():
        (runs / name).mkdir(exist_ok=True)
        (runs / name / "last.json").write_text(json.dumps({"stages": stages}))
    return runs


def stage(runs: Path, experiment: str, name: str, key: str, folder: str = "", **record: Any) -> Path:
    path = runs / experiment / name / (folder or key)
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "000000010.safetensors").write_bytes(b"x" * 500_000)
    StageFolder(path).write(**{"experiment": experiment, "stage": name, "key": key, "steps": 10} | record)
    (path / MODEL).write_bytes(b"x" * 1000)
    (path.parent / ".guard").touch()
    return path


def contents(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def refused(*named: Any) -> list[str]:
    """The lines that a plan is refused with; nothing was touched."""
    before = contents(Path())
    cleaning = plan(list(map(str, named)), (), Path("runs"))
    with pytest.raises(Mistakes) as caught:
        remove(cleaning)
    assert contents(Path()) == before
    return str(caught.value).splitlines()


def test_nothing_is_removed_before_it_is_asked_for(runs: Path) -> None:
    before = contents(runs)
    cleaning = plan(["runs/second", "runs/third"], (), runs)
    assert cleaning.problems == []
    assert contents(runs) == before
    size = sum(path.stat().st_size for path in (runs / "second/gan/bbbbbbbbbbbb").rglob("*") if path.is_file())
    assert size == cleaning.stages[0].size
    assert tables.cleaning(cleaning.stages, False) == (
        "run                           status    size    used by\n"
        "runs/second/gan/bbbbbbbbbbbb  finished  501 kB  runs/third\n"
        "1 stage, 501 kB would be removed; --yes removes"
    )
    assert tables.cleaning(cleaning.stages, True).splitlines()[-1] == "removed 1 stage, 501 kB"


def test_what_a_kept_run_needs_stays_unless_that_goes_too(runs: Path) -> None:
    assert refused("runs/first") == [
        "runs/first/features/ffffffffffff: it is used by runs/second/gan/bbbbbbbbbbbb; name that too, or keep it"
    ]
    assert refused("runs/first/features/ffffffffffff") == [
        "runs/first/features/ffffffffffff: it is used by runs/first/gan/aaaaaaaaaaaa, runs/second/gan/bbbbbbbbbbbb; "
        "name these too, or keep it"
    ]
    assert refused("runs/first", "runs/second") == [
        "runs/second/gan/bbbbbbbbbbbb: it is used by runs/third; name that too, or keep it"
    ]
    cleaning = plan(["runs/first", "runs/second", "runs/third"], (), runs)
    # Users go first: whatever interrupts this leaves no run without what it was trained with.
    assert [one.stage for one in cleaning.stages] == ["gan", "gan", "features"]
    remove(cleaning)
    assert list(runs.iterdir()) == []


def test_another_folder_with_the_same_key_will_do(runs: Path) -> None:
    again = stage(runs, "fourth", "features", "f" * 12)
    remove(plan(["runs/first/features/ffffffffffff"], (), runs))
    assert again.is_dir()
    assert not (runs / "first" / "features").exists()


def test_only_that_is_removed(runs: Path) -> None:
    (runs / "first" / "gan" / "notes.txt").write_text("mine")
    before = set(contents(runs))
    gan = {path for path in before if path.startswith("runs/first/gan/aaaaaaaaaaaa/")}
    assert len(gan) == 3
    remove(plan(["runs/first/gan/aaaaaaaaaaaa"], (), runs))
    assert set(contents(runs)) == before - gan
    last = json.loads((runs / "first" / "last.json").read_text())
    assert last == {"stages": {"features": "features/ffffffffffff"}}
    # A folder in which nothing is left but a guard goes with it; so does a last.json that would name nothing.
    remove(plan(["runs/second/gan/bbbbbbbbbbbb", "runs/third"], (), runs))
    assert sorted(path.name for path in runs.iterdir()) == ["first", "second"]
    assert contents(runs / "second") == ["runs/second/last.json"]
    assert json.loads((runs / "second" / "last.json").read_text())["stages"] == {
        "features": "../first/features/ffffffffffff"
    }


def test_old_and_unfinished_folders_are_runs_too(runs: Path) -> None:
    old = stage(runs, "second", "gan", "b" * 12, f"{'b' * 12}.old-20260101-000000")
    left = stage(runs, "second", "gan", "c" * 12, "loss-hinge-" + "c" * 12)
    (left / MODEL).unlink()
    cleaning = plan(["runs/second", "runs/third"], (), runs)
    assert sorted(one.status for one in cleaning.stages) == ["finished", "old", "unfinished"]
    remove(cleaning)
    assert not old.exists()
    assert not left.exists()
    assert sorted(path.name for path in runs.iterdir()) == ["first"]


def test_what_is_no_run_is_never_touched(runs: Path) -> None:
    Path("pictures").mkdir()
    Path("pictures/cat.png").touch()
    Path("theirs").mkdir()
    Path("theirs/stage.json").write_text('{"stage": "of a rocket"}')
    Path("link").symlink_to(Path("runs/first/gan/aaaaaaaaaaaa").absolute())
    before = contents(Path())
    with pytest.raises(Mistakes) as caught:
        plan(["pictures", "theirs", "link", "runs", "nowhere", "runs/first/gan"], (), runs)
    no_run = "this is no run: neither a stage's folder (with a stage.json), nor an experiment's, nor a spec"
    assert str(caught.value).splitlines() == [
        f"link: this is a link; name the folder it leads to, {Path.cwd()}/runs/first/gan/aaaaaaaaaaaa",
        f"nowhere: {no_run}",
        f"pictures: {no_run}",
        f"runs: {no_run}",
        f"runs/first/gan: {no_run}",
        "theirs: its stage.json is not one of ganvas, or it is damaged; look at the folder and remove it yourself",
    ]
    assert contents(Path()) == before


def test_a_link_inside_a_run_is_removed_and_not_followed(runs: Path) -> None:
    Path("data").mkdir()
    Path("data/image.png").write_text("mine")
    (runs / "first/gan/aaaaaaaaaaaa/data").symlink_to(Path("data").absolute())
    remove(plan(["runs/first/gan/aaaaaaaaaaaa"], (), runs))
    assert Path("data/image.png").read_text() == "mine"


def test_what_is_being_written_stays(runs: Path) -> None:
    lock = Lock(runs / "first/gan/aaaaaaaaaaaa")
    lock.acquire(lambda message: None)
    try:
        (line,) = refused("runs/first/gan/aaaaaaaaaaaa")
    finally:
        lock.release()
    holder = f"process {os.getpid()} on {os.uname().nodename}"
    assert line == f"runs/first/gan/aaaaaaaaaaaa: it is being written by {holder}; stop that first"


def test_a_moved_folder_stands_for_itself(runs: Path) -> None:
    Path("kept").mkdir()
    (runs / "first/features/ffffffffffff").rename("kept/features")
    cleaning = plan(["kept/features", str(Path.cwd() / "kept" / "features")], (), runs)
    assert [(one.folder, one.used_by) for one in cleaning.stages] == [(str(Path.cwd() / "kept/features"), [])]
    remove(cleaning)
    assert list(Path("kept").iterdir()) == []
