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


def train(tmp_path: Path) -> list[str]:
    (tmp_path / "spec.yaml").write_text(SPEC)
    warnings: list[str] = []
    reporter = Reporter()
    reporter.warn = warnings.append  # type: ignore[method-assign]
    train_experiment(read(tmp_path / "spec.yaml"), tmp_path / "runs", torch.device("cpu"), reporter)
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


@pytest.mark.parametrize("ear", [OSError(errno.ENOSPC, "full")], indirect=True)
def test_a_full_disk_stops_the_training(ear: Ear, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="the disk is full: ear could not write its log"):
        train(tmp_path)
