"""Removing what was trained: only runs, and none that something else needs. No torch for folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ganvas.engine.errors import ResourceError
from ganvas.registry.documents import Mistakes, Place, Problem
from ganvas.runs.folders import LAST, MODEL, RECORD, StageFolder, last_stages, write_last
from ganvas.runs.listing import StageOnDisk, described, stages_on_disk
from ganvas.runs.lock import Lock

__all__ = ["Cleaning", "plan", "remove", "shown"]


@dataclass
class Cleaning:
    """What is to be removed.

    Attributes:
        stages: users before what they use, so that an interruption leaves nothing that lacks its ancestors.
        experiments: folders of experiments that were named as a whole; their ``last.json`` goes too.
        problems: why nothing of it is removed.
    """

    stages: list[StageOnDisk] = field(default_factory=list)
    experiments: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def plan(named: Sequence[str], settings: Sequence[str], runs: Path) -> Cleaning:
    """What a user's words mean, and what speaks against removing it. Removes nothing.

    Args:
        named: stages' folders, experiments' folders, and specs, which mean the finished stages of all their members.
        settings, runs: ``--set`` and the runs folder, for specs.

    Raises:
        Mistakes: for every name that is no run.
    """
    cleaning = Cleaning()
    folders: dict[Path, Path] = {}  # where they really lie -> as they were named
    problems: list[Problem] = []
    for name in named:
        try:
            found, experiment = _meant(name, settings, runs)
        except Mistakes as mistakes:
            problems += mistakes.problems
            continue
        for path in found:
            folders.setdefault(path.resolve(), path.absolute())
        if experiment is not None:
            cleaning.experiments.append(experiment.absolute())
    if problems:
        raise Mistakes(problems)
    known = {Path(one.folder): one for place in _homes(_placed(folders.values())) for one in stages_on_disk(place)}
    # A folder that was moved out of its runs folder stands for itself.
    cleaning.stages = [known.get(path) or described(StageFolder.open(path), []) for path in folders.values()]
    cleaning.stages.sort(key=lambda one: len(one.used_by))
    going = {str(path) for path in (*folders.values(), *cleaning.experiments)}
    kept = {one.key for one in known.values() if one.status == "finished" and one.folder not in going}
    for one in cleaning.stages:
        needing = [] if one.key in kept else [user for user in one.used_by if user not in going]
        place = Place(shown(one.folder))
        if needing:
            said = f"it is used by {', '.join(map(shown, needing))}; name {_them(needing)} too, or keep it"
            cleaning.problems.append(Problem(place, "", said))
        if (holder := Lock(Path(one.folder)).holder()) is not None:
            cleaning.problems.append(Problem(place, "", f"it is being written by {holder}; stop that first"))
    return cleaning


def _meant(name: str, settings: Sequence[str], runs: Path) -> tuple[list[Path], Path | None]:
    """The stages' folders that a name means, and the experiment's folder if it is one. Raises ``Mistakes``."""
    path = Path(name)
    said = "this is no run: neither a stage's folder (with a stage.json), nor an experiment's, nor a spec"
    if path.is_symlink():
        said = f"this is a link; name the folder it leads to, {path.resolve()}"
    elif (path / RECORD).is_file():
        if {"key", "stage"} <= StageFolder.open(path).record.keys():
            return [path], None
        said = "its stage.json is not one of ganvas, or it is damaged; look at the folder and remove it yourself"
    elif path.is_dir():
        found = [record.parent for record in sorted(path.glob(f"*/*/{RECORD}")) if not record.parent.is_symlink()]
        found = [folder for folder in found if StageFolder.open(folder).record.get("stage") == folder.parent.name]
        if found or (path / LAST).is_file():
            return found, path
    elif path.is_file() or name == "quickstart":
        found = _of_spec(name, settings, runs)
        if found:
            return found, None
        said = "nothing of it is trained"
    raise Mistakes([Problem(Place(name), "", said)])


def _of_spec(spec: str, settings: Sequence[str], runs: Path) -> list[Path]:
    from ganvas.runs.api import read
    from ganvas.runs.experiment import locate

    experiment = read(spec, settings)
    return [path for member in experiment.members or [experiment] for path in locate(member, runs).values()]


def _placed(folders: Iterable[Path]) -> list[Path]:
    """Those that lie where trainings put them, ``runs/EXPERIMENT/STAGE/KEY``."""
    return [
        path
        for path in folders
        if len(path.parents) > 3 and path.parent.name == StageFolder.open(path).record.get("stage")
    ]


def _homes(placed: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(path.parents[2] for path in placed))


def _them(users: Sequence[str]) -> str:
    return "that" if len(users) == 1 else "these"


def shown(path: str | Path) -> str:
    """A folder as it is told: from where the user stands, where it lies below."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def remove(cleaning: Cleaning) -> None:
    """Removes what was planned, and the folders that are empty then. Raises ``Mistakes`` or ``ResourceError``."""
    if cleaning.problems:
        raise Mistakes(cleaning.problems)
    folders = [Path(one.folder) for one in cleaning.stages]
    placed = _placed(folders)
    try:
        for folder in folders:
            _remove_stage(folder)
        for experiment in cleaning.experiments:
            (experiment / LAST).unlink(missing_ok=True)
        for last in (last for home in _homes(placed) for last in home.glob(f"*/{LAST}")):
            with suppress(ResourceError):  # a damaged one is left for people to look at
                _forget(last.parent)
        # Stages' folders first, then those of the experiments.
        parents = [*(folder.parent for folder in placed), *(folder.parents[1] for folder in placed)]
        for place in dict.fromkeys([*parents, *cleaning.experiments]):
            _remove_empty(place)
    except OSError as error:
        raise ResourceError(f"{error.filename} cannot be removed: {error.strerror}") from error


def _remove_stage(folder: Path) -> None:
    """At every instant what is left is a run: an unfinished one, then one of which nothing is trained."""

    def refuse(message: str) -> None:
        raise ResourceError(message.removesuffix("; waiting for it"))

    lock = Lock(folder)
    lock.acquire(refuse)
    try:
        (folder / MODEL).unlink(missing_ok=True)
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (RECORD, "lock.json", ".lock-guard"):
                path.unlink(missing_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
    finally:
        lock.release()
    (folder / ".lock-guard").unlink(missing_ok=True)
    folder.rmdir()


def _forget(experiment: Path) -> None:
    """Takes out of an experiment's ``last.json`` the stages that are gone."""
    stages = last_stages(experiment)
    left = {name: place for name, place in stages.items() if place.is_dir()}
    if not left and stages:
        (experiment / LAST).unlink()
        _remove_empty(experiment)
    elif left != stages:
        write_last(experiment, left)


def _remove_empty(folder: Path) -> None:
    """Removes a folder in which nothing of anybody lies; what guards it against two writers at once is no content."""
    if folder.is_dir() and set(os.listdir(folder)) <= {".guard"}:
        (folder / ".guard").unlink(missing_ok=True)
        folder.rmdir()
