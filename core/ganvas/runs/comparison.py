"""Two runs side by side: in which options they differ, and by how much their numbers do. No torch for folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas.registry.documents import Mistakes, Place, Problem, did_you_mean
from ganvas.runs.folders import RECORD, StageFolder, last_stages
from ganvas.runs.table import Cell, Column, Row, TrainedRun, decoded, differing, fill, with_ancestors

__all__ = ["Comparison", "Difference", "compare", "find_runs"]


@dataclass
class Difference:
    """A metric of two runs.

    Attributes:
        cells: of the first and of the second; None where it was not measured.
    """

    column: Column
    cells: tuple[Cell | None, Cell | None]

    @property
    def value(self) -> float | None:
        """The second's value less the first's."""
        first, second = self.cells
        return None if first is None or second is None else second.value - first.value


@dataclass
class Comparison:
    """Two runs.

    Attributes:
        options: path in the spec -> its value in the first and in the second; only those that differ.
    """

    runs: tuple[TrainedRun, TrainedRun]
    options: dict[str, tuple[Any, Any]]
    metrics: list[Difference]

    def json(self) -> dict[str, Any]:
        metrics = {
            one.column.name: {
                "stage": one.column.stage,
                "better": one.column.better,
                "protocol": dict(one.column.protocol),
                **{name: cell and cell.value for name, cell in zip("ab", one.cells, strict=True)},
                "difference": one.value,
            }
            for one in self.metrics
        }
        return {
            **{name: str(run.folder.path) for name, run in zip("ab", self.runs, strict=True)},
            "options": {path: dict(zip("ab", values, strict=True)) for path, values in self.options.items()},
            "metrics": metrics,
        }


def find_runs(named: Sequence[str], stage: str | None, settings: Sequence[str], runs: Path) -> list[TrainedRun]:
    """The finished runs that a user names, in that order.

    Args:
        named: a stage's folder, an experiment's folder or a spec each.
        stage: which stage of an experiment or a spec; the last otherwise.
        settings, runs: ``--set`` and the runs folder, for specs.

    Raises:
        Mistakes: for every name that is none of these, or is not trained yet.
    """
    found: list[TrainedRun] = []
    problems: list[Problem] = []
    beside: dict[Path, dict[str, StageFolder]] = {}
    for name in named:
        try:
            path = _in_folder(Path(name), stage) if Path(name).is_dir() else _of_spec(name, stage, settings, runs)
        except Mistakes as mistakes:
            problems += mistakes.problems
            continue
        found.append(with_ancestors(StageFolder.open(path), beside))
    if problems:
        raise Mistakes(problems)
    return found


def _in_folder(path: Path, stage: str | None) -> Path:
    if (path / RECORD).is_file():
        place = path
    elif stages := last_stages(path):
        place = stages[_chosen(str(path), stage, list(stages))]
    else:
        said = "this is neither an experiment's folder (with a last.json) nor a stage's (with a stage.json)"
        raise Mistakes([Problem(Place(str(path)), "", said)])
    if not StageFolder.open(place).finished:
        said = f"the stage in {place} is not finished: `ganvas train {place}` finishes it"
        raise Mistakes([Problem(Place(str(path)), "", said)])
    return place


def _of_spec(spec: str, stage: str | None, settings: Sequence[str], runs: Path) -> Path:
    from ganvas.runs.api import read
    from ganvas.runs.experiment import locate

    experiment = read(spec, settings)
    name = _chosen(spec, stage, list(experiment.stages))
    folders = locate(experiment, runs)
    if name not in folders:
        raise Mistakes([Problem(Place(spec), "", f"{name} is not trained yet: run `ganvas train {spec}`")])
    return folders[name]


def _chosen(where: str, stage: str | None, stages: Sequence[str]) -> str:
    name = stage or stages[-1]
    if name not in stages:
        raise Mistakes([Problem(Place(where), "", f"there is no stage {name!r}{did_you_mean(name, stages)}")])
    return name


def compare(first: TrainedRun, second: TrainedRun, *, force: bool = False) -> Comparison:
    """What differs between two runs.

    Args:
        force: numbers of unlike protocols stand apart, each without a partner.

    Raises:
        Mistakes: numbers of one metric have unlike protocols; each field that differs is named.
    """
    rows = [Row({}, [first]), Row({}, [second])]
    columns = fill(rows, force)
    metrics = [Difference(column, (a, b)) for column, a, b in zip(columns, rows[0].cells, rows[1].cells, strict=True)]
    return Comparison((first, second), _options(first, second), metrics)


def _options(first: TrainedRun, second: TrainedRun) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    if first.stages != second.stages:
        found["stages"] = (_stages(first), _stages(second))
    for path in differing([Row({}, [first]), Row({}, [second])]):
        values = first.options.get(path), second.options.get(path)
        # That another component has other code goes without saying.
        if None not in values or "source of " not in path:
            found[path] = (decoded(values[0]), decoded(values[1]))
    for path in dict.fromkeys([*first.seeds, *second.seeds]):
        values = first.seeds.get(path), second.seeds.get(path)
        if values[0] != values[1]:
            found[path] = (decoded(values[0]), decoded(values[1]))
    return found


def _stages(run: TrainedRun) -> str:
    return ", ".join([*run.folder.record.get("ancestors", {}), run.folder.record["stage"]])
