"""A stage's folder on disk, and how finished ones are found again."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any

from ganvas.engine.errors import ResourceError
from ganvas.engine.files import write_atomically
from ganvas.registry.plugins import Host

__all__ = [
    "StageFolder",
    "claim",
    "environment",
    "find_finished",
    "find_shorter",
    "last_stages",
    "newest_sibling",
    "records",
    "to_yaml",
    "write_last",
]

RECORD = "stage.json"
LAST = "last.json"
MODEL = "model.safetensors"
BEST = "best.safetensors"


@dataclass
class StageFolder:
    """One stage's folder.

    Attributes:
        path: the folder.
        record: ``stage.json``: key, its parts, key and parts of what it uses (``ancestors``), the paths that stand in
            the spec (``written``), experiment, stage, steps, metrics, whether the length was read. Its time is that of
            the last use.
    """

    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> StageFolder:
        try:
            return cls(path, json.loads((path / RECORD).read_text()))
        except (OSError, ValueError):
            return cls(path)

    @property
    def finished(self) -> bool:
        return (self.path / MODEL).is_file()

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record.get("metrics", {})

    def write(self, **changes: Any) -> None:
        """Updates ``stage.json``."""
        self.record |= changes
        write_atomically(self.path / RECORD, json.dumps(self.record, indent=1).encode())

    def touch(self) -> None:
        """Notes that the folder is used; one that is not ours to write to stays as it is."""
        with suppress(OSError):
            os.utime(self.path / RECORD)

    def write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())


def records(runs: Path) -> Iterator[StageFolder]:
    """Every stage's folder below the runs folder, but for those that were trained anew since."""
    for record in sorted(runs.glob(f"*/*/*/{RECORD}")):
        if ".old-" not in record.parent.name:
            yield StageFolder.open(record.parent)


def last_stages(experiment: Path) -> dict[str, Path]:
    """Stage -> folder, in the order of training: what an experiment's ``last.json`` names; nothing where it has none.

    Raises:
        ResourceError: it cannot be read.
    """
    last = experiment / LAST
    try:
        return {name: experiment / place for name, place in json.loads(last.read_text())["stages"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResourceError(
            f"{last} cannot be read ({error}); name a stage's folder, or train the spec again, which writes it anew"
        ) from error


def write_last(experiment: Path, stages: Mapping[str, Path]) -> None:
    """Names an experiment's stages in its ``last.json``."""
    experiment.mkdir(parents=True, exist_ok=True)
    relative = {name: os.path.relpath(folder, experiment) for name, folder in stages.items()}
    write_atomically(experiment / LAST, json.dumps({"stages": relative}, indent=1).encode())


def find_finished(runs: Path, key: str) -> StageFolder | None:
    """A finished stage with this key, anywhere under the runs folder."""
    for path in sorted(runs.glob(f"*/*/*{key}")):
        folder = StageFolder.open(path)
        if folder.finished and folder.record.get("key") == key:
            return folder
    return None


def claim(parent: Path, label: str, key: str) -> Path:
    """The folder for a key below ``runs/EXPERIMENT/STAGE``: the one that is there, whatever its label, or a new one.

    Two processes that call this at the same time get the same folder. Raises ``ResourceError``.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with open(parent / ".guard", "w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            there = [path for path in sorted(parent.glob(f"*{key}")) if path.name.rpartition("-")[2] == key]
            path = there[0] if there else parent / (f"{label}-{key}" if label else key)
            path.mkdir(exist_ok=True)
    except OSError as error:
        raise ResourceError(f"the folder {parent} cannot be written: {error.strerror}") from error
    return path


def find_shorter(runs: Path, key_without_steps: str, steps: int) -> StageFolder | None:
    """The longest finished stage that differs in nothing but fewer steps."""
    found = [
        folder
        for folder in records(runs)
        if folder.finished
        and folder.record.get("key_without_steps") == key_without_steps
        and folder.record.get("steps", steps) < steps
    ]
    return max(found, key=lambda folder: folder.record["steps"], default=None)


def newest_sibling(folder: Path) -> StageFolder | None:
    """The folder of the same stage that was written to last, to tell what changed since."""
    siblings = [
        StageFolder.open(path)
        for path in (folder.parent.iterdir() if folder.parent.is_dir() else ())
        if path != folder and (path / RECORD).is_file()
    ]
    return max(siblings, key=lambda sibling: (sibling.path / RECORD).stat().st_mtime, default=None)


def to_yaml(tree: Mapping[str, Any]) -> str:
    """A complete spec as YAML 1.2 text."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)  # type: ignore[assignment]
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[attr-defined]
    stream = StringIO()
    yaml.dump(dict(tree), stream)
    return stream.getvalue().removeprefix("%YAML 1.2\n---\n")


def environment(host: Host, device: Any, near: Path) -> dict[str, Any]:
    """Versions, git state, plugins and hardware."""
    import torch

    from ganvas.engine.parallel import world

    packages = (
        "ganvas",
        "torch",
        "torchvision",
        "timm",
        "kornia",
        "numpy",
        "scikit-learn",
        "tensorboard",
        "safetensors",
    )
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "packages": versions,
        "plugins": [record.json() for record in host.plugins],
        "git": _git(near),
        "command": sys.argv,
        "host": platform.node(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": world().size,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _git(near: Path) -> dict[str, Any] | None:
    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=near, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "changed": bool(ask("status", "--porcelain"))}
