"""Plugins hear what happens to a stage; one that fails does not stop it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

import ganvas
from ganvas import hookimpl
from ganvas.engine.errors import ResourceError
from ganvas.registry import plugins
from ganvas.runs.api import read
from ganvas.runs.experiment import Reporter, train_experiment

SPEC = """
dataset: digits
stages:
  gan: {use: gan, generator: {use: dcgan, channels: 4}, discriminator: {use: global, channels: 4},
        steps: 4, batch_size: 8, log_every: 2, pictures_every: 4, checkpoint: {every: 2}}
"""


class Ear:
    """Hears everything; takes only the arguments it wants, as pluggy allows."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.heard: list[tuple] = []
        self.fails = fails

    @hookimpl
    def ganvas_stage_started(self, stage):
        self.heard.append(("started", stage.name, stage.resumed_at))

    @hookimpl
    def ganvas_scalars(self, index, images):
        if self.fails:
            raise self.fails
        self.heard.append(("scalars", index, images))

    @hookimpl
    def ganvas_images(self, index, previews):
        self.heard.append(("images", index, sorted(previews)))

    @hookimpl
    def ganvas_checkpoint_saved(self, index, path):
        assert Path(path).exists()
        self.heard.append(("saved", index))

    @hookimpl
    def ganvas_stage_finished(self, stage, metrics):
        self.heard.append(("finished", metrics))


@pytest.fixture
def ear(request):
    made = Ear(getattr(request, "param", None))
    ganvas.plugins.register(made, "ear")
    yield made
    plugins.unregister("ear")


def examined(plugin: str, near: Path | None = None) -> plugins.PluginRecord:
    """What ``ganvas plugins`` tells of a plugin."""
    host = plugins.Host(near)
    host.examine()
    return next(record for record in host.plugins if record.name == plugin)


def train(tmp_path: Path, spec: str = SPEC) -> list[str]:
    (tmp_path / "spec.yaml").write_text(spec)
    warnings: list[str] = []
    reporter = Reporter()
    reporter.warn = warnings.append  # type: ignore[method-assign]
    train_experiment(read(tmp_path / "spec.yaml"), tmp_path / "runs", torch.device("cpu"), reporter, ["all"])
    return warnings


def test_a_plugin_hears_everything_in_order(ear: Ear, tmp_path: Path) -> None:
    assert train(tmp_path) == []
    assert ear.heard == [
        ("started", "gan", 0),
        ("images", 0, ["samples"]),
        ("scalars", 2, 16),
        ("saved", 2),
        ("scalars", 4, 32),
        ("images", 4, ["samples"]),
        ("saved", 4),
        ("finished", {}),
    ]


@pytest.mark.parametrize("ear", [RuntimeError("deaf")], indirect=True)
def test_a_plugin_that_fails_is_warned_of_once(ear: Ear, tmp_path: Path) -> None:
    assert train(tmp_path) == [
        "ear failed in ganvas_scalars (RuntimeError: deaf); training goes on without it; "
        "`ganvas plugins` shows the traceback"
    ]
    assert ear.heard == [("started", "gan", 0), ("images", 0, ["samples"])]
    assert list(tmp_path.glob("runs/*/gan/*/model.safetensors"))


@pytest.mark.parametrize("ear", [RuntimeError("deaf")], indirect=True)
def test_the_traceback_is_shown_until_the_plugin_gets_through_a_stage(ear: Ear, tmp_path: Path) -> None:
    train(tmp_path)
    shown = examined("ear")
    assert shown.status == "broken"
    said, head, *_, last = (shown.error or "").splitlines()
    assert said.startswith("ganvas_scalars of ear failed, last on ")
    assert (head, last) == ("Traceback (most recent call last):", "RuntimeError: deaf")
    ear.fails = None
    assert train(tmp_path) == []
    assert (examined("ear").status, examined("ear").error) == ("loaded", None)


TRACKER = """
from ganvas import Tracker, hookimpl


class Mine(Tracker):
    @hookimpl
    def ganvas_stage_finished(self, stage):
        raise KeyError("gone")
"""


def test_a_tracker_that_fails_is_its_plugins_fault(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TRACKER)
    (tmp_path / "registry.yaml").write_text("components: {tracker: {mine: ./mine.py:Mine, jsonl: ./mine.py:Mine}}")
    assert train(tmp_path, spec=SPEC + "trackers: [mine, ganvas/jsonl]\n") == [
        "the tracker 'mine' failed in ganvas_stage_finished (KeyError: 'gone'); training goes on without it; "
        "`ganvas plugins` shows the traceback"
    ]
    assert len(list(tmp_path.glob("runs/*/gan/*/metrics.jsonl"))) == 1
    mine = examined("mine", tmp_path)
    assert (mine.status, mine.components) == ("broken", ["tracker/mine", "tracker/jsonl"])
    assert (mine.error or "").startswith("ganvas_stage_finished of the tracker 'mine' failed, last on ")
    assert examined("ganvas", tmp_path).status == "loaded"


@pytest.mark.parametrize("ear", [OSError(errno.ENOSPC, "full")], indirect=True)
def test_a_full_disk_stops_the_training(ear: Ear, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="the disk is full: ear could not write its log"):
        train(tmp_path)
