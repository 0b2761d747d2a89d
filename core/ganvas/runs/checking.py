"""``check``: build every network on the meta device, and say all that would stop training before anything trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ganvas.engine.evaluation import TrainedStage
from ganvas.engine.parallel import synchronise_batch_norm, world
from ganvas.engine.training import check_updates
from ganvas.kinds.algorithm import Algorithm, flat
from ganvas.kinds.data import Data, MissingData
from ganvas.registry.documents import Mistakes, Place, Problem, did_you_mean
from ganvas.runs.loading import build_sampler
from ganvas.spec.build import Builder
from ganvas.spec.experiment import DatasetSpec, Experiment, StageSpec
from ganvas.spec.sweep import Choice, blamed
from ganvas.spec.validate import Component, StageReference

__all__ = ["Report", "check_experiment", "check_members", "optimizer_names"]


@dataclass
class Report:
    """What ``ganvas check`` found.

    Attributes:
        parameters: stage -> network -> number of parameters.
        missing: data sets and weights that are not there, one line each.
        unchecked: stages that could not be built because of that.
    """

    parameters: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def check_experiment(experiment: Experiment, opened: Any = None, datasets: dict[str, Any] | None = None) -> Report:
    """Builds every stage without memory for weights. Raises ``Mistakes`` with all that is wrong.

    Args:
        opened: gives the product of a finished stage's folder; folders are skipped where it is None.
        datasets: those that are opened already, where several experiments share them.
    """
    report = Report()
    problems: list[Problem] = []
    algorithms: dict[str, Algorithm] = {}
    datasets = {} if datasets is None else datasets
    for name, stage in experiment.stages.items():
        if any(used not in algorithms for used in stage.uses):
            report.unchecked.append(name)
            continue
        try:
            data = _data(stage, datasets, report)
            if data is None:
                report.unchecked.append(name)
                continue
            algorithms[name] = _build(stage, data, algorithms, report, opened)
        except MissingData as error:
            report.missing.append(f"stages.{name}: {error}")
            report.unchecked.append(name)
        except Mistakes as mistakes:
            problems += mistakes.problems
    if problems:
        raise Mistakes(problems)
    report.missing = list(dict.fromkeys(report.missing))
    return report


def check_members(experiment: Experiment, opened: Callable[[Experiment], Any] | None = None) -> list[str]:
    """Checks every member of a sweep; gives what is missing. Raises ``Mistakes`` with all that is wrong in any.

    Args:
        opened: gives, for a member, what ``check_experiment`` takes.
    """
    found: list[tuple[Sequence[Choice], Problem]] = []
    missing: list[str] = []
    datasets: dict[str, Any] = {}
    for member in experiment.members:
        try:
            missing += check_experiment(member, opened(member) if opened is not None else None, datasets).missing
        except Mistakes as mistakes:
            own = [choice for choice in member.chosen if choice not in experiment.chosen]
            found += [(own, problem) for problem in mistakes.problems]
    if found:
        raise Mistakes(blamed(found))
    return list(dict.fromkeys(missing))


def _data(stage: StageSpec, known: dict[str, Data | None], report: Report) -> Data | None:
    key = repr(_components(stage.dataset))
    if key not in known:
        known[key] = None
        try:
            dataset = Builder(stage.seed, checking=True).dataset(stage.dataset)
            report.missing += [said for part in dataset.sources.values() if (said := part.missing())]
            known[key] = Data(dataset)
        except MissingData as error:
            report.missing.append(str(error))
        except ValueError as error:  # what only shows when the files are looked at: images of several sizes
            first = next(iter(stage.dataset.values())) if isinstance(stage.dataset, dict) else stage.dataset
            raise Mistakes([Problem(first.place, first.path, " ".join(str(error).split()))]) from error
    return known[key]


def _components(dataset: DatasetSpec) -> Any:
    if isinstance(dataset, dict):
        return {name: part.plain() for name, part in dataset.items()}
    return dataset.plain()


def _build(stage: StageSpec, data: Data, algorithms: dict[str, Algorithm], report: Report, opened: Any) -> Algorithm:
    def trained(reference: StageReference) -> Any:
        if reference.stage is not None:
            assert reference.part is not None
            return algorithms[reference.stage].product(reference.part)
        if opened is None:
            raise MissingData(f"{reference.text} is looked at when training starts")
        return opened(reference)

    builder = Builder(stage.seed, trained, checking=True)
    place, path = stage.algorithm.place, f"stages.{stage.name}"
    with torch.device("meta"):
        algorithm: Algorithm = builder.build(stage.algorithm, data)
        networks = algorithm.networks()
        problems = list(_needs(builder, algorithm, data, stage))
        try:
            updates = algorithm.updates()
            named = optimizer_names(stage, [update.optimizer_name for update in flat(updates)])
            check_updates(networks, updates, named)
        except ValueError as error:
            problems.append(Problem(place, path, str(error)))
        ema = stage.settings.options.get("ema")
        chosen = getattr(ema, "networks", None) if ema is not None and not hasattr(ema, "at") else None
        for name in chosen or ():
            if name not in networks:
                message = f"there is no network {name!r} to average{did_you_mean(name, list(networks))}"
                problems.append(Problem(_place(stage, "ema", "networks"), f"{path}.ema.networks", message))
        if ema is not None and not chosen and not algorithm.averaged:
            message = (
                f"{stage.algorithm.name!r} averages no network unless ema names some: {{half_life: N, networks: […]}}"
            )
            problems.append(Problem(_place(stage, "ema"), f"{path}.ema", message))
        problems += _batch_size(builder, stage, stage.settings.options["batch_size"])
        if stage.settings.options["sync_batch_norm"]:
            try:
                synchronise_batch_norm(algorithm)
            except ValueError as error:
                problems.append(Problem(_place(stage, "sync_batch_norm"), f"{path}.sync_batch_norm", str(error)))
        problems += _metrics(stage, data, algorithm, builder, report)
        health = stage.settings.options["health"]
        if health is not None and hasattr(algorithm, "sample"):
            try:
                builder.build(health.extractor)
            except MissingData as error:
                report.missing.append(f"{health.extractor.path}: {error}")
    if problems:
        raise Mistakes(problems)
    for component, made in builder.built:
        missing = getattr(made, "missing", None)
        if callable(missing) and (said := missing()):
            report.missing.append(f"{component.path}: {said}")
    report.parameters[stage.name] = {
        name: sum(parameter.numel() for parameter in network.parameters()) for name, network in networks.items()
    }
    return algorithm


def _place(stage: StageSpec, *keys: str) -> Place:
    """Where a value of a stage stands."""
    node = stage.node
    for key in keys:
        node = node.get(key) or node
    return node.place


def optimizer_names(stage: StageSpec, wanted: Sequence[str]) -> set[str]:
    """The optimizer names a stage's spec provides for. Raises ``Mistakes`` for one too many or too few."""
    optimizers = stage.settings.options["optimizers"]
    wanted = list(dict.fromkeys(wanted))
    if isinstance(optimizers, Component):
        return set(wanted)
    path = f"stages.{stage.name}.optimizers"
    node = stage.node.get("optimizers") or stage.node
    problems = [
        Problem(node.keys.get(name, node.place), f"{path}.{name}", f"no update uses this{did_you_mean(name, wanted)}")
        for name in optimizers
        if name not in wanted
    ]
    lacking = [name for name in wanted if name not in optimizers]
    if lacking:
        problems.append(Problem(node.place, path, f"there is no optimizer for {', '.join(lacking)}"))
    if problems:
        raise Mistakes(problems)
    return set(optimizers)


def _needs(builder: Builder, algorithm: Algorithm, data: Data, stage: StageSpec) -> Iterable[Problem]:
    """Fields that some part needs and the dataset lacks, named with the part."""
    told: set[str] = set()
    for component, made in builder.built:
        if component.kind == "condition":
            for lacking in sorted(set(made.needs) - set(data.fields)):
                told.add(lacking)
                yield _lacks(component, lacking, data)
    for lacking in sorted(set(algorithm.needs) - set(data.fields) - told):
        yield _lacks(stage.algorithm, lacking, data)


def _batch_size(builder: Builder, stage: StageSpec, size: int) -> Iterable[Problem]:
    """Components that cannot train with batches of this size, or processes that cannot share them."""
    ranks = world().size
    if size % ranks:
        below, above = size // ranks * ranks, (size // ranks + 1) * ranks
        fitting = f"{below} and {above} do" if below else f"{above} does"
        message = f"{ranks} processes cannot share a batch of {size} evenly; {fitting}"
        yield Problem(_place(stage, "batch_size"), f"stages.{stage.name}.batch_size", message)
        return
    for component, made in builder.built:
        check = getattr(made, "check_batch", None)
        if not callable(check):
            continue
        for count, of in {size: "", size // ranks: f" (for each of {ranks} processes)"}.items():
            try:
                check(count)
            except ValueError as error:
                said = " ".join(str(error).split()) + (of if count < size else "")
                yield Problem(component.place, component.path, said)
                break


def _lacks(component: Component, field_name: str, data: Data) -> Problem:
    given = ", ".join(data.fields)
    message = f"the {component.kind} {component.name!r} needs the field {field_name!r}, but the dataset gives {given}"
    return Problem(component.place, component.path, message)


def _metrics(stage: StageSpec, data: Data, algorithm: Algorithm, builder: Builder, report: Report) -> list[Problem]:
    """Builds the metrics too, and the sampler; one that this algorithm cannot serve is a mistake of the spec."""
    problems: list[Problem] = []
    if stage.sampler is not None:
        try:
            build_sampler(stage.sampler, TrainedStage(stage.name, algorithm, data, torch.device("meta"), stage.seed))
        except Mistakes as mistakes:
            problems += mistakes.problems
    for component in stage.metrics:
        try:
            metric = builder.build(component, data)
        except Mistakes as mistakes:
            problems += mistakes.problems
            continue
        except MissingData as error:
            report.missing.append(f"{component.path}: {error}")
            continue
        try:
            metric.check(algorithm)
        except ValueError as error:
            problems.append(Problem(component.place, component.path, " ".join(str(error).split())))
    return problems
