"""Opening a trained stage from its folder: nothing but the folder is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganvas.engine import states
from ganvas.engine.errors import BrokenState, ResourceError
from ganvas.engine.evaluation import TrainedStage
from ganvas.kinds.algorithm import Algorithm
from ganvas.kinds.data import Data
from ganvas.kinds.evaluation import Sampler
from ganvas.kinds.networks import place
from ganvas.registry.documents import Mistakes, Problem, parse
from ganvas.registry.plugins import Host
from ganvas.runs.folders import BEST, MODEL, StageFolder
from ganvas.spec.build import Builder
from ganvas.spec.experiment import Experiment, parse_experiment
from ganvas.spec.validate import Component, StageReference

__all__ = ["Run", "build_sampler", "model_tree", "open_stage", "open_used", "product_of", "read_folder", "start_from"]


def model_tree(algorithm: Algorithm, average: Mapping[str, Any] | None, data: Data, used: Mapping[str, Any]) -> Any:
    """What ``model.safetensors`` holds: weights, averaged weights, a description of the data, and the stages used."""
    return {"algorithm": algorithm.state_dict(), "average": average, "data": data.describe(), "used": dict(used)}


def open_stage(path: Path, device: torch.device | str = "cpu", *, best: bool = False) -> TrainedStage:
    """A finished stage, with its averaged weights where they were kept. Raises ``ResourceError``.

    Args:
        best: with those that were best by the metric that the spec names, instead of the last ones.
    """
    folder = StageFolder.open(path)
    device = torch.device(device)
    if not folder.finished:
        raise ResourceError(f"{path} holds no finished stage: run `ganvas train {path}` to finish it")
    if best and not (path / BEST).is_file():
        raise ResourceError(
            f"{path} holds no best weights: a stage keeps them as it trains with evaluate: {{every: N, best: METRIC}}"
        )
    experiment = read_folder(folder)
    name = folder.record.get("stage") or list(experiment.stages)[-1]
    try:
        tree = states.load(path / (BEST if best else MODEL))
        with torch.device("cpu"):  # `check` opens folders while it builds everything else on the meta device
            algorithm, data = _restore(experiment, name, tree, device)
    except (BrokenState, KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ResourceError(f"the stage in {path} cannot be opened: {said}") from error
    return TrainedStage(name, algorithm, data, device, experiment.stages[name].seed)


def open_used(path: Path, name: str, device: torch.device) -> TrainedStage:
    """A stage that a finished one used, from the weights kept in that one's folder. Raises ``ResourceError``."""
    experiment = read_folder(StageFolder.open(path))
    waiting = [states.load(path / MODEL)["used"]]
    while waiting:
        used = waiting.pop()
        if name in used:
            algorithm, data = _restore(experiment, name, used[name], device)
            return TrainedStage(name, algorithm, data, device, experiment.stages[name].seed)
        waiting += [tree["used"] for tree in used.values() if "used" in tree]
    raise ResourceError(f"{path} used no stage {name!r}: name the experiment's folder, which holds them all")


def read_folder(folder: StageFolder) -> Experiment:
    """The spec of a stage's folder, with its ancestors."""
    file = folder.path / "spec.yaml"
    beside = Path(folder.record.get("registry") or folder.path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{file} cannot be read: {error.strerror}") from error
    host = Host(beside if beside.is_dir() else folder.path)
    return parse_experiment(parse(text, str(file), folder.path), host, str(file), "experiment", opened=True)


def _restore(experiment: Experiment, name: str, tree: Any, device: torch.device) -> tuple[Algorithm, Data]:
    stage = experiment.stages[name]
    data = Data(None, tree["data"], device)
    for reference in stage.references:
        if reference.text in tree["used"] and reference.files is not None:  # a stage's folder that is gone since
            reference.folder, reference.files = reference.files, None

    def trained(reference: StageReference) -> Any:
        if reference.stage is not None:
            inner, _ = _restore(experiment, reference.stage, tree["used"][reference.stage], device)
            assert reference.part is not None
            return inner.product(reference.part)
        held = tree["used"][reference.text]
        root = parse(held["spec"], reference.text, Path.cwd())
        outer = parse_experiment(root, experiment.host, reference.text, "experiment", opened=True)
        inner, _ = _restore(outer, held["stage"], held["tree"], device)
        return inner.product(product_of(inner, reference))

    algorithm: Algorithm = Builder(stage.seed, trained).build(stage.algorithm, data)
    place(algorithm, device)
    algorithm.load_state_dict(tree["algorithm"])
    networks = algorithm.networks()
    for network, state in (tree["average"] or {}).items():
        networks[network].load_state_dict(state)
        algorithm.holds_average = True
    algorithm.eval().requires_grad_(False)
    return algorithm, data


def build_sampler(component: Component, stage: TrainedStage) -> Sampler:
    """A sampler over a trained stage. Raises ``Mistakes`` where it cannot draw from this one."""
    sampler: Sampler = Builder(stage.seed).build(component, stage)
    try:
        sampler.check(stage.algorithm)
    except ValueError as error:
        raise Mistakes([Problem(component.place, component.path, str(error))]) from None
    return sampler


def product_of(algorithm: Algorithm, reference: StageReference) -> str:
    """Which product a reference to a folder means: the one of the kind asked for."""
    fitting = [name for name, cls in algorithm.offers().items() if reference.fits(cls)]
    if len(fitting) != 1:
        raise ResourceError(f"{reference.text} gives {len(fitting)} of the kind {reference.asked}, not one")
    return fitting[0]


def start_from(networks: Mapping[str, nn.Module], source: Algorithm, where: str) -> None:
    """Initialises equally named networks. Raises ``ResourceError`` with the keys that do not fit."""
    given = source.networks()
    common = [name for name in networks if name in given]
    if not common:
        raise ResourceError(f"{where} has no network called {' or '.join(networks)}, only {', '.join(given)}")
    for name in common:
        try:
            networks[name].load_state_dict(given[name].state_dict())
        except RuntimeError as error:
            raise ResourceError(f"{name} of {where} does not fit: {' '.join(str(error).split())}") from None


class Run(Mapping[str, TrainedStage]):
    """The trained stages of an experiment, by name, opened when asked for.

    Attributes:
        folders: stage -> its folder.
        best: whether stages are opened with their best weights instead of the last ones.
    """

    def __init__(self, folders: Mapping[str, Path], device: torch.device | str = "cpu", *, best: bool = False) -> None:
        self.folders = dict(folders)
        self.device = device
        self.best = best
        self._open: dict[str, TrainedStage] = {}

    def __getitem__(self, name: str) -> TrainedStage:
        if name not in self.folders:
            raise KeyError(f"this run has no stage {name!r}, only {', '.join(self.folders)}")
        if name not in self._open:
            self._open[name] = open_stage(self.folders[name], self.device, best=self.best)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.folders)

    def __len__(self) -> int:
        return len(self.folders)

    def metrics(self, name: str) -> dict[str, Any]:
        """What was measured of a stage: name -> value, deviation, better, protocol."""
        return StageFolder.open(self.folders[name]).metrics
