"""Results side by side: runs that differ only in their seeds are one row. No torch here, unless a spec is named."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganvas.registry.documents import Mistakes, Place, Problem
from ganvas.runs.folders import RECORD, StageFolder, last_stages, records

__all__ = [
    "Cell",
    "Column",
    "Row",
    "Table",
    "TrainedRun",
    "decoded",
    "differing",
    "fill",
    "gather",
    "tabulate",
    "with_ancestors",
]

_LABEL = "label"
_TOP = ("dataset", "deterministic", "seed")


@dataclass
class TrainedRun:
    """A finished stage with those it was trained with, and those that measure one of them.

    Attributes:
        folder: of the stage.
        chain: stage -> folder, first those it was trained with, then its own, then those that measure; those that are
            gone from the disk are left out.
        stages: names of all of them, gone or not.
        options: path in the spec -> value, as the key takes it, of all its stages; names, and what one stage takes
            from another are not among them.
        seeds: the seeds among them, by path; they stand apart.
        homes: path in ``options`` -> its stage, or empty for what holds for all.
        written: paths that stand in the spec, as opposed to defaults.
    """

    folder: StageFolder
    chain: dict[str, StageFolder]
    stages: frozenset[str]
    options: dict[str, str]
    seeds: dict[str, str]
    homes: dict[str, str]
    written: frozenset[str]


@dataclass
class Cell:
    """A metric of a row.

    Attributes:
        value: the mean over ``number`` runs. deviation: their sample standard deviation; None of one run.
        best: whether no other row is better.
    """

    value: float
    deviation: float | None
    number: int
    best: bool = False


@dataclass
class Column:
    """A metric.

    Attributes:
        name: with the stage before it where several stages have it, and with what is unlike in its protocol.
        better: ``lower`` or ``higher``.
        protocol: what its numbers depend on, but for the seed.
    """

    name: str
    stage: str
    better: str
    protocol: Mapping[str, Any]


@dataclass
class Row:
    """Runs that differ only in their seeds.

    Attributes:
        options: path -> value; None where there is no such option.
        cells: one for each of the table's columns; None where it was not measured.
    """

    options: dict[str, Any]
    runs: list[TrainedRun]
    cells: list[Cell | None] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What a sweep calls it; empty where it has no label, or its runs have several."""
        found = {run.folder.record.get("label", "") for run in self.runs}
        return found.pop() if len(found) == 1 else ""


@dataclass
class Table:
    """Rows by the options that differ, columns by metric."""

    options: list[str]
    columns: list[Column]
    rows: list[Row]

    def json(self) -> dict[str, Any]:
        metrics = {
            column.name: {"stage": column.stage, "better": column.better, "protocol": dict(column.protocol)}
            for column in self.columns
        }
        rows = [
            {
                "options": row.options,
                "runs": [str(run.folder.path) for run in row.runs],
                "metrics": {column.name: vars(cell) for column, cell in zip(self.columns, row.cells) if cell},
            }
            for row in self.rows
        ]
        return {"options": self.options, "metrics": metrics, "rows": rows}


# -- finding -------------------------------------------------------------------------------------------------------


def gather(named: Sequence[str], settings: Sequence[str], runs: Path) -> tuple[list[TrainedRun], list[str]]:
    """The finished runs that a user names, each once, and a line about each name that lacks some.

    Args:
        named: stages' folders, experiments' folders (or that of all runs), specs with all members of their sweeps.
        settings, runs: ``--set`` and the runs folder, for specs.

    Raises:
        Mistakes: for a name that is none of these, or has nothing finished.
    """
    folders: dict[str, StageFolder] = {}
    lacking: list[str] = []
    problems: list[Problem] = []
    for name in named:
        found, line = _in_folder(Path(name)) if Path(name).is_dir() else _of_spec(name, settings, runs)
        for folder in found:
            folders.setdefault(folder.record["key"], folder)
        if line is not None and found:
            lacking.append(f"{name}: {line}")
        elif line is not None:
            problems.append(Problem(Place(name), "", line))
    if problems:
        raise Mistakes(problems)
    beside: dict[Path, dict[str, StageFolder]] = {}
    return [with_ancestors(folder, beside) for folder in folders.values()], lacking


def _in_folder(path: Path) -> tuple[list[StageFolder], str | None]:
    """The finished stages of a folder that no other in it was trained with, and that do not measure another."""
    if (path / RECORD).is_file():
        folder = StageFolder.open(path)
        line = None if folder.finished else f"this stage is not finished: `ganvas train {path}` finishes it"
        return [folder] if folder.finished else [], line
    places = {
        file.parent.resolve(): file.parent for depth in ("*/*", "*/*/*") for file in path.glob(f"{depth}/{RECORD}")
    }
    places |= {place.resolve(): place for place in last_stages(path).values()}
    opened = [StageFolder.open(place) for _, place in sorted(places.items()) if ".old-" not in place.name]
    finished = [folder for folder in opened if folder.finished and folder.record]
    trained = [folder for folder in finished if not _measures(folder)]
    used = {ancestor["key"] for folder in trained for ancestor in folder.record.get("ancestors", {}).values()}
    last = [folder for folder in trained if folder.record["key"] not in used]
    return last, None if last else "there is no finished stage in this folder"


def _of_spec(spec: str, settings: Sequence[str], runs: Path) -> tuple[list[StageFolder], str | None]:
    """The last stages of a spec, or of every member of its sweep."""
    from ganvas.runs.api import read
    from ganvas.runs.experiment import locate

    experiment = read(spec, settings)
    members = experiment.members or [experiment]
    found: list[StageFolder] = []
    complete = 0
    data: dict[str, Any] = {}
    for member in members:
        places = locate(member, runs, data)
        trained = [stage for stage in member.stages.values() if stage.algorithm.cls.steps is None or not stage.uses]
        used = {name for stage in trained for name in stage.uses}
        last = [stage.name for stage in trained if stage.name not in used]
        found += [StageFolder.open(places[name]) for name in last if name in places]
        complete += all(name in places for name in member.stages)
    if complete == len(members):
        return found, None
    command = "sweep" if experiment.members else "train"
    what = f"{len(members) - complete} of {len(members)} members are" if experiment.members else "it is"
    return found, f"{what} not trained yet: run `ganvas {command} {spec}`"


def with_ancestors(folder: StageFolder, beside: dict[Path, dict[str, StageFolder]]) -> TrainedRun:
    """The run of a stage, with the folders of its ancestors that lie in the same runs folder.

    Args:
        beside: the finished stages of the runs folders that were looked through already, by key.
    """
    record, place = folder.record, folder.path.resolve()
    chain: dict[str, StageFolder] = {}
    measuring: list[StageFolder] = []
    # A folder that was moved out of its runs folder stands for itself.
    if place.parent.name == record["stage"] and len(place.parents) > 3:
        runs = place.parents[2]
        if runs not in beside:
            beside[runs] = {found.record.get("key", ""): found for found in records(runs) if found.finished}
        for name, ancestor in record.get("ancestors", {}).items():
            if ancestor["key"] in beside[runs]:
                chain[name] = beside[runs][ancestor["key"]]
        family = {record["key"], *(ancestor["key"] for ancestor in record.get("ancestors", {}).values())}
        measuring = [found for found in beside[runs].values() if _measures(found, family)]
    chain[record["stage"]] = folder
    for found in measuring:
        name, key = found.record["stage"], found.record["key"]
        if key != record["key"]:
            chain[f"{name}-{key[:4]}" if name in chain else name] = found
    return _trained_run(folder, chain)


def _measures(folder: StageFolder, family: Collection[str] | None = None) -> bool:
    """Whether it trained nothing and measures another stage: one of those with these keys, if they are given."""
    ancestors = {ancestor["key"] for ancestor in folder.record.get("ancestors", {}).values()}
    return folder.record.get("steps") == 0 and bool(ancestors) and (family is None or ancestors <= set(family))


def _trained_run(folder: StageFolder, chain: dict[str, StageFolder]) -> TrainedRun:
    record = folder.record
    ancestors, written = record.get("ancestors", {}), frozenset(record.get("written", ()))
    keys = {ancestor["key"] for ancestor in ancestors.values()}
    family = {name: ancestor["parts"] for name, ancestor in ancestors.items()} | {record["stage"]: record["parts"]}
    options: dict[str, str] = {}
    seeds: dict[str, str] = {}
    homes: dict[str, str] = {}
    for name, parts in family.items():
        for path, value in parts.items():
            if value.partition(".")[0] in keys:
                continue
            # What stands at the top of a spec holds for all stages but for those that have their own.
            top = next((top for top in _TOP if path == top or path.startswith((f"{top}.", f"{top}'"))), None)
            common = top is not None and f"stages.{name}.{top}" not in written
            full = path if common else f"stages.{name}.{path}"
            if path == "seed":
                seeds[full] = value
            else:
                options[full], homes[full] = value, "" if common else name
    return TrainedRun(folder, chain, frozenset(family), options, seeds, homes, written)


# -- the table -----------------------------------------------------------------------------------------------------


def tabulate(runs: Sequence[TrainedRun], *, force: bool = False) -> Table:
    """Rows, the options in which they differ, and their metrics.

    Args:
        force: numbers of unlike protocols stand in columns of their own.

    Raises:
        Mistakes: numbers of one metric have unlike protocols; each field that differs is named.
    """
    groups: dict[tuple[Any, ...], list[TrainedRun]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(run.options.items())), []).append(run)
    rows = [Row({}, group) for group in groups.values()]
    options = _options(rows)
    for row in rows:
        row.options = {path: decoded(row.runs[0].options.get(path)) for path in options}
        if _LABEL in options:
            row.options[_LABEL] = row.label
    if not options or len({_shown(row, options) for row in rows}) < len(rows):
        options = ["run", *options]
        for row in rows:
            record = row.runs[0].folder.record
            row.options = {"run": f"{record.get('experiment')}/{record['stage']}", **row.options}
    rows.sort(key=lambda row: [_order(row.options[path]) for path in options])
    return Table(options, fill(rows, force), rows)


def _options(rows: Sequence[Row]) -> list[str]:
    """The options that differ and that somebody wrote; where rows would read alike, all that differs between them.

    Where a sweep gave every row a label, that stands for all options that it sets.
    """
    labels = {row.label for row in rows}
    if "" not in labels and len(labels) > 1:
        groups = [[row for row in rows if row.label == label] for label in labels]
        within = [path for group in groups if len(group) > 1 for path in _differing_and_told(group)]
        return [_LABEL, *dict.fromkeys(within)]
    return _differing_and_told(rows)


def _differing_and_told(rows: Sequence[Row]) -> list[str]:
    written = frozenset().union(*(run.written for row in rows for run in row.runs))
    options = [path for path in differing(rows) if path.removesuffix(" (how many)") in written]
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(row.runs[0].options.get(path) for path in options), []).append(row)
    for some in alike.values():
        options += [path for path in differing(some) if path not in options]
    return options


def differing(rows: Sequence[Row]) -> list[str]:
    """Paths with several values among the rows that have their stage at all."""
    runs = [row.runs[0] for row in rows]
    homes = {path: home for run in runs for path, home in run.homes.items()}
    found = []
    for path, home in homes.items():
        values = {run.options.get(path) for run in runs if not home or home in run.stages}
        if len(values) > 1:
            found.append(path)
    return found


def _shown(row: Row, options: Sequence[str]) -> str:
    return json.dumps([row.options.get(path) for path in options], default=str)


def decoded(value: str | None) -> Any:
    """A value of a key's parts: JSON, or a component's bare name."""
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        return value


def _order(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, int | float) else (2, value if isinstance(value, str) else json.dumps(value))


@dataclass
class _Entry:
    """A number of a row, with the key and the folder of its stage."""

    row: Row
    key: str
    found: dict[str, Any]
    folder: Path

    @property
    def protocol(self) -> dict[str, Any]:
        """All that numbers of one metric must share; seeds are what a mean is taken over."""
        return {name: value for name, value in self.found.get("protocol", {}).items() if name != "seed"}


def fill(rows: Sequence[Row], force: bool) -> list[Column]:
    """The metrics, in the order of the stages; fills the rows' cells. Raises ``Mistakes`` as ``tabulate`` does."""
    measured: dict[tuple[str, str], list[_Entry]] = {}
    several: set[str] = set()
    for row in rows:
        for run in row.runs:
            seen: set[str] = set()
            for stage, folder in run.chain.items():
                for name, found in folder.metrics.items():
                    entry = _Entry(row, folder.record["key"], found, folder.path)
                    measured.setdefault((stage, name), []).append(entry)
                    several |= {name} & seen
                    seen.add(name)
    # One metric is one column, whatever the stage is called, unless a run has it of several stages.
    titled: dict[str, tuple[str, list[_Entry]]] = {}
    for (stage, name), entries in measured.items():
        title = f"{stage}.{name}" if name in several else name
        titled.setdefault(title, (stage, []))[1].extend(entries)
    columns: list[Column] = []
    problems: list[Problem] = []
    for title, (stage, entries) in titled.items():
        variants: dict[str, list[_Entry]] = {}
        for entry in entries:
            variants.setdefault(json.dumps(entry.protocol, sort_keys=True), []).append(entry)
        _join_unknown(variants)
        if len(variants) > 1 and not force:
            problems.append(Problem(Place(""), title, _unlike([same[0] for same in variants.values()])))
        fields = _fields([same[0].protocol for same in variants.values()])
        for same in variants.values():
            protocol = same[0].protocol
            told = ", ".join(f"{name} {_plain(_flat(protocol).get(name))}" for name in fields)
            columns.append(Column(f"{title} ({told})" if told else title, stage, same[0].found["better"], protocol))
            _fill(rows, columns[-1], same)
    if problems:
        raise Mistakes(problems)
    return columns


def _join_unknown(variants: dict[str, list[_Entry]]) -> None:
    """Numbers of images that nobody knows the weights of (``average`` is nothing) join those they do not contradict."""

    def known(entries: list[_Entry]) -> dict[str, Any]:
        return {name: value for name, value in entries[0].protocol.items() if name != "average"}

    for text, entries in list(variants.items()):
        if "average" in entries[0].protocol and entries[0].protocol["average"] is None:
            others = [same for other, same in variants.items() if other != text and known(same) == known(entries)]
            if len(others) == 1:
                others[0].extend(variants.pop(text))


def _fill(rows: Sequence[Row], column: Column, entries: Iterable[_Entry]) -> None:
    found: dict[int, dict[str, float]] = {}
    for entry in entries:
        found.setdefault(id(entry.row), {})[entry.key] = entry.found[
            "value"
        ]  # a stage that several runs share counts once
    for row in rows:
        values = list(found.get(id(row), {}).values())
        deviation = statistics.stdev(values) if len(values) > 1 else None
        row.cells.append(Cell(statistics.fmean(values), deviation, len(values)) if values else None)
    cells = [row.cells[-1] for row in rows]
    told = [cell.value for cell in cells if cell is not None and math.isfinite(cell.value)]
    if len(told) > 1:
        best = min(told) if column.better == "lower" else max(told)
        for cell in cells:
            if cell is not None:
                cell.best = cell.value == best


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {path: tree}
    return {k: v for key, inner in tree.items() for k, v in _flat(inner, f"{path}.{key}" if path else key).items()}


def _fields(protocols: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields in which protocols differ."""
    flat = [_flat(protocol) for protocol in protocols]
    names = dict.fromkeys(name for one in flat for name in one)
    return [name for name in names if len({json.dumps(one.get(name)) for one in flat}) > 1]


def _unlike(entries: Sequence[_Entry]) -> str:
    """What differs between the first of the protocols and another, and where."""
    told = []
    for name in _fields([entry.protocol for entry in entries]):
        values = [(_flat(entry.protocol).get(name), entry.folder) for entry in entries]
        first = values[0]
        other = next(value for value in values if value[0] != first[0])
        told.append(f"{name} is {_plain(first[0])} in {first[1]}, {_plain(other[0])} in {other[1]}")
    advice = "measure alike with `ganvas evaluate`, or give --force, which keeps them apart"
    return f"unlike protocols: {'; '.join(told)}; {advice}"


def _plain(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
