"""What a user means by RUN: a stage's folder, a spec, or an experiment's folder; measuring it, and sampling it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganvas.engine.errors import ResourceError
from ganvas.kinds.evaluation import Sampler
from ganvas.registry.documents import Mistakes, Place, Problem, did_you_mean, parse
from ganvas.registry.plugins import Host
from ganvas.runs.api import choose_device, load, read
from ganvas.runs.experiment import locate, measure_folder
from ganvas.runs.folders import StageFolder
from ganvas.runs.loading import Run, build_sampler, open_stage, read_folder
from ganvas.runs.table import TrainedRun
from ganvas.spec.experiment import StageSpec, find_reference
from ganvas.spec.validate import Component, Validator

__all__ = ["evaluate_run", "find_run", "find_sampler", "samples_of_both"]


def find_run(
    run: str, stage: str | None, settings: Sequence[str], runs: Path, device: str, *, best: bool = False
) -> tuple[Run, str]:
    """The run and the name of the stage that is meant. Raises ``Mistakes`` or ``ResourceError``."""
    folder = Path(run)
    if folder.is_dir():
        found = load(folder, device, best=best)
    else:
        experiment = read(run, settings)
        folders = locate(experiment, runs)
        found = Run(folders, choose_device(device), best=best)
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
    sampler: str | None = None,
    *,
    best: bool = False,
) -> tuple[str, dict[str, Any]]:
    """The stage's name, and its numbers: those of ``metrics``, measured now, or those measured before.

    Args:
        sampler: draws the samples that are measured; the metrics are those of the stage's spec then, if none is named.
        best: measures the best weights instead of the last ones; the metrics are those of the stage's spec, likewise.
    """
    found, name = find_run(run, stage, settings, runs, device)
    folder = StageFolder.open(found.folders[name])
    if not metrics and sampler is None and not best:
        return name, folder.metrics
    experiment = read_folder(folder)
    # What a metric may name: the stages of the run, and those that this one used.
    stages = {other: read_folder(StageFolder.open(path)).stages[other] for other, path in found.folders.items()}
    components = _given(experiment.host, "metric", metrics, {**experiment.stages, **stages})
    drawing: Component | None = None
    if not metrics:
        components = experiment.stages[name].metrics
    if sampler is not None:
        (drawing,) = _given(experiment.host, "sampler", [sampler], {})
        if not metrics:
            components = [component for component in components if "sample" in component.cls.needs]
        _check_sampled(components, drawing)
    given = experiment, name, folder, components, choose_device(device), warn, found.folders
    return name, measure_folder(*given, drawing, best=best)


def find_sampler(found: Run, name: str, text: str) -> Sampler:
    """The sampler that a user means by ``--sampler``, over a stage of a run. Raises ``Mistakes``."""
    host = read_folder(StageFolder.open(found.folders[name])).host
    (component,) = _given(host, "sampler", [text], {})
    return build_sampler(component, found[name])


def samples_of_both(pair: Sequence[TrainedRun], number: int, device: str) -> tuple[Tensor, str]:
    """Images of two stages that correspond, those of the first (number, C, H, W) before those of the second.

    Returns:
        The images (2 number, C, H, W), and what they have in common: ``latents``, or, where the generators take other
        latents, only the ``seed``.

    Raises:
        Mistakes: a stage draws no samples, or they are not of one shape.
    """
    stages = [open_stage(run.folder.path, choose_device(device)) for run in pair]
    problems: list[Problem] = []
    images: list[Tensor] = []
    for run, stage in zip(pair, stages, strict=True):
        try:
            images.append(stage.sample(number, seed=stages[0].seed))
        except ValueError as error:
            problems.append(Problem(Place(str(run.folder.path)), "", str(error)))
    if not problems and images[0].shape != images[1].shape:
        shapes = ["x".join(map(str, one.shape[1:])) for one in images]
        said = f"its samples are {shapes[1]}, the other's {shapes[0]}: no picture shows both"
        problems.append(Problem(Place(str(pair[1].folder.path)), "", said))
    if problems:
        raise Mistakes(problems)
    generators = [stage.algorithm.products().get("generator") for stage in stages]
    latents = [getattr(generator, "latents", None) for generator in generators]
    return torch.cat(images), "latents" if latents[0] == latents[1] else "seed"


def _check_sampled(metrics: Sequence[Component], sampler: Component) -> None:
    """Raises ``Mistakes`` where there is nothing that a sampler would change."""
    problems = [
        Problem(metric.place, "", f"{metric.name} is not measured on samples; leave out --sampler")
        for metric in metrics
        if "sample" not in metric.cls.needs
    ]
    if not metrics:
        said = "no metric of the stage's spec is measured on samples; name one with --metric"
        problems.append(Problem(sampler.place, "", said))
    if problems:
        raise Mistakes(problems)


def _given(host: Host, kind: str, texts: Sequence[str], stages: Mapping[str, StageSpec]) -> list[Component]:
    """Components as they stand on the command line, ``--KIND NAME`` or ``--KIND '{use: NAME, …}'``.

    Args:
        stages: those that they may name.
    """
    validator = Validator(host)
    given = [validator.component(parse(text, f"--{kind} {text}", Path.cwd()), kind, "") for text in texts]
    for component in given:
        if component is not None:  # what is wrong with it is told without line and column, here and later
            component.place = Place(component.place.file)
    for reference in validator.references:
        find_reference(validator, "", reference, stages, list(stages))
    if validator.problems:
        raise Mistakes([Problem(Place(p.place.file), p.path.lstrip("."), p.message) for p in validator.problems])
    return [component for component in given if component is not None]
