"""What a user means by RUN: a stage's folder, a spec, or an experiment's folder; and measuring it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ganvas.engine.errors import ResourceError
from ganvas.registry.documents import Mistakes, Place, Problem, did_you_mean, parse
from ganvas.runs.api import choose_device, load, read
from ganvas.runs.experiment import locate, measure_folder
from ganvas.runs.folders import StageFolder
from ganvas.runs.loading import Run, read_folder
from ganvas.spec.validate import Component, Validator

__all__ = ["evaluate_run", "find_run"]


def find_run(run: str, stage: str | None, settings: Sequence[str], runs: Path, device: str) -> tuple[Run, str]:
    """The run and the name of the stage that is meant. Raises ``Mistakes`` or ``ResourceError``."""
    folder = Path(run)
    if folder.is_dir():
        found = load(folder, device)
    else:
        experiment = read(run, settings)
        folders = locate(experiment, runs)
        found = Run(folders, choose_device(device))
        lacking = [name for name in experiment.stages if name not in folders and name == (stage or name)]
        if lacking and (stage is not None or not folders or list(experiment.stages)[-1] not in folders):
            raise ResourceError(f"{lacking[-1]} of {run} is not trained yet: run `ganvas train {run}`")
    name = stage or list(found)[-1]
    if name not in found:
        raise Mistakes([Problem(Place(run), "", f"there is no stage {name!r}{did_you_mean(name, list(found))}")])
    return found, name


def evaluate_run(
    run: str,
    stage: str | None,
    metrics: Sequence[str],
    settings: Sequence[str],
    runs: Path,
    device: str,
    warn: Callable[[str], None],
) -> tuple[str, dict[str, Any]]:
    """The stage's name, and its numbers: those of ``metrics``, measured now, or those measured before."""
    found, name = find_run(run, stage, settings, runs, device)
    folder = StageFolder.open(found.folders[name])
    if not metrics:
        return name, folder.metrics
    experiment = read_folder(folder)
    validator = Validator(experiment.host)
    components: list[Component] = []
    for text in metrics:
        node = parse(text, f"--metric {text}", Path.cwd())
        component = validator.component(node, "metric", "")
        if component is not None:
            components.append(component)
    if validator.problems:
        raise Mistakes([Problem(Place(p.place.file), p.path, p.message) for p in validator.problems])
    return name, measure_folder(experiment, name, folder, components, choose_device(device), warn)
