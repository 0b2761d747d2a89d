"""Training an experiment: every stage that is not trained yet, in order; what is there is used where it lies."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torchvision.utils import save_image

from ganvas.engine import states
from ganvas.engine.average import Average
from ganvas.engine.checkpoints import Checkpoints
from ganvas.engine.errors import BrokenState, RankLost, ResourceError
from ganvas.engine.evaluation import TrainedStage, measure, portrait
from ganvas.engine.health import Health, default_every
from ganvas.engine.parallel import joined, synchronise_batch_norm, world
from ganvas.engine.precision import has_bf16
from ganvas.engine.training import Job, Progress, train
from ganvas.kinds.algorithm import Algorithm, Preview, flat
from ganvas.kinds.data import Data, MissingData
from ganvas.kinds.networks import place
from ganvas.kinds.options import Scheduled
from ganvas.registry.documents import Mistakes, Place, Problem, did_you_mean
from ganvas.registry.hooks import StageRecord
from ganvas.runs import keys
from ganvas.runs.checking import check_experiment
from ganvas.runs.folders import (
    BEST,
    MODEL,
    StageFolder,
    claim,
    environment,
    find_finished,
    find_shorter,
    newest_sibling,
    to_yaml,
    write_last,
)
from ganvas.runs.lifecycle import Hooks
from ganvas.runs.loading import build_sampler, model_tree, open_stage, open_used, product_of, start_from
from ganvas.runs.lock import Lock
from ganvas.spec.build import Builder, derived_seed, fork_random
from ganvas.spec.experiment import Experiment, StageSpec
from ganvas.spec.stage import seconds
from ganvas.spec.validate import Component, StageReference, plain_value, references_in

__all__ = [
    "Reporter",
    "Session",
    "StageResult",
    "locate",
    "measure_folder",
    "train_experiment",
]

log = logging.getLogger("ganvas")


class Reporter:
    """What a user sees of a training; this one is silent. The command line has its own."""

    def say(self, message: str) -> None:
        """One line."""

    def warn(self, message: str) -> None:
        log.warning(message)

    @contextmanager
    def stage(self, name: str, progress: Progress):
        """Shows progress while a stage trains."""
        yield


class Silent(Reporter):
    """That of a process that trains together with others: rank 0 has said it."""

    def warn(self, message: str) -> None:
        pass


@dataclass
class StageResult:
    """How one stage came out: its folder, whether it was trained now or before, its metrics."""

    name: str
    folder: Path
    status: str
    metrics: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "status": self.status, "metrics": self.metrics}


class Session:
    """One call of ``train``: the stages' data and folders as they become known.

    Args:
        data: what other sessions opened already, by dataset; they may share it.
        folders: of stages that are known already, by name.
    """

    def __init__(
        self,
        experiment: Experiment,
        runs: Path,
        device: torch.device,
        reporter: Reporter,
        data: dict[str, Data] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self.experiment = experiment
        self.runs = runs
        self.device = device
        self.reporter = reporter
        self.folders = dict(folders or {})
        self.keys: dict[str, str] = {}
        self.parts: dict[str, dict[str, str]] = {}
        self._data: dict[str, Data] = {} if data is None else data
        self._opened: dict[str, TrainedStage] = {}

    def data(self, stage: StageSpec) -> Data:
        """The stage's data; the same object for stages with the same dataset."""
        spec = stage.dataset
        plain = {k: v.plain() for k, v in spec.items()} if isinstance(spec, dict) else spec.plain()
        name = json.dumps(plain, sort_keys=True, default=str)
        if name not in self._data:
            self._data[name] = Data(Builder(stage.seed).dataset(spec), device=self.device)
        return self._data[name]

    def find(self) -> None:
        """Finds every stage's key, and the folders of those that are finished."""
        for name, stage in self.experiment.stages.items():
            if (found := find_finished(self.runs, self.key(stage))) is not None:
                self.folders[name] = found.path

    def key(self, stage: StageSpec) -> str:
        """The stage's key; what it hashes is in ``parts``. To be asked for in the order of training."""
        deterministic = self.experiment.settings.options["deterministic"]
        fingerprint = self.data(stage).fingerprint
        self.parts[stage.name] = keys.key_parts(stage, fingerprint, deterministic, self.reference_key)
        self.keys[stage.name] = keys.key_of(self.parts[stage.name])
        return self.keys[stage.name]

    def reference_key(self, reference: StageReference) -> str:
        if reference.stage is not None:
            return self.keys[reference.stage]
        assert reference.folder is not None
        return StageFolder.open(reference.folder).record.get("key", str(reference.folder))

    def opened(self, reference: StageReference) -> TrainedStage:
        stage = reference.stage
        folder = reference.folder if stage is None else self.folders.get(stage)
        name = stage if folder is None else str(folder)
        assert name is not None
        if name not in self._opened:
            # A stage that is measured by itself, from its folder alone, keeps those that it used inside.
            found = open_used(self.runs, name, self.device) if folder is None else open_stage(folder, self.device)
            self._opened[name] = found
        return self._opened[name]

    def asked(self, component: Component) -> dict[str, Any]:
        """A metric as it stands in the record of what was measured, with the keys of the stages it measures by."""
        keys = {}
        for reference in references_in(component):
            if reference.stage is not None and reference.stage not in self.keys:
                folder = self.folders.get(reference.stage)
                keys[reference.text] = None if folder is None else StageFolder.open(folder).record.get("key")
            else:
                keys[reference.text] = self.reference_key(reference)
        return component.plain() | ({"by": keys} if keys else {})

    def unmeasured(self, stage: StageSpec, folder: StageFolder) -> list[Component]:
        """Metrics that the spec asks for and the finished folder has not."""
        measured = folder.record.get("measured", [])
        return [component for component in stage.metrics if self.asked(component) not in measured]

    def trained(self, reference: StageReference) -> Any:
        algorithm = self.opened(reference).algorithm
        part = reference.part if reference.stage is not None else product_of(algorithm, reference)
        assert part is not None
        return algorithm.product(part)

    def used(self, stage: StageSpec) -> dict[str, Any]:
        """The models of the stages that this one uses, to be kept inside its own."""
        found: dict[str, Any] = {}
        for reference in stage.references:
            if reference.path.endswith(".start"):
                continue
            if reference.stage is not None:
                found[reference.stage] = states.load(self.folders[reference.stage] / MODEL)
            elif reference.folder is not None:
                record = StageFolder.open(reference.folder).record
                found[reference.text] = found[str(reference.folder)] = {
                    "spec": (reference.folder / "spec.yaml").read_text(encoding="utf-8"),
                    "stage": record.get("stage"),
                    "tree": states.load(reference.folder / MODEL),
                }
        return found


def train_experiment(
    experiment: Experiment,
    runs: Path,
    device: torch.device,
    reporter: Reporter | None = None,
    fresh: Sequence[str] = (),
) -> dict[str, StageResult]:
    """Checks, then trains every stage that is not trained yet. ``fresh``: stages to train anew, or ``all``.

    Under ``torchrun`` every process calls this, and all of them train together.
    """
    with joined(device) as here:
        reporter = (reporter or Reporter()) if here.leads else Silent()
        return _train_stages(experiment, runs, device, reporter, fresh)


def _train_stages(
    experiment: Experiment, runs: Path, device: torch.device, reporter: Reporter, fresh: Sequence[str]
) -> dict[str, StageResult]:
    here = world()
    session = Session(experiment, runs, device, reporter)
    _check_fresh(experiment, fresh)
    report = check_experiment(experiment, opened=session.trained)
    for line in experiment.remarks:
        reporter.say(line)
    if report.missing:
        raise MissingData("\n".join(report.missing))
    _check_runs_folder(runs)
    results: dict[str, StageResult] = {}
    for name, stage in experiment.stages.items():
        if not here.leads:
            results[name] = _followed(session, stage)
            session.folders[name] = results[name].folder
            continue
        results[name] = _stage(session, stage, anew=name in fresh or "all" in fresh)
        session.folders[name] = results[name].folder
        write_last(runs / experiment.name, {done: result.folder for done, result in results.items()})
    return results


def locate(experiment: Experiment, runs: Path, data: dict[str, Data] | None = None) -> dict[str, Path]:
    """The folders of the finished stages of a spec, without training. ``data``: shared between calls."""
    session = Session(experiment, runs, torch.device("cpu"), Reporter(), data)
    session.find()
    return session.folders


def _check_fresh(experiment: Experiment, fresh: Sequence[str]) -> None:
    known = [*experiment.stages, "all"]
    problems = [
        Problem(Place(f"--fresh {name}"), "", f"there is no stage {name!r}{did_you_mean(name, known)}")
        for name in fresh
        if name not in known
    ]
    if problems:
        raise Mistakes(problems)


def _check_runs_folder(runs: Path) -> None:
    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe = runs / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResourceError(
            f"the runs folder {runs} cannot be written ({error.strerror}); name another with --runs"
        ) from error


def _ancestors(session: Session, stage: StageSpec) -> dict[str, Any]:
    """Key and parts of all that the stage uses, directly or not, by the name of the stage or the folder as written."""
    family = session.experiment.with_ancestors([stage.name])
    found: dict[str, Any] = {
        name: {"key": session.keys[name], "parts": session.parts[name]} for name in family if name != stage.name
    }
    for reference in (reference for name in family for reference in session.experiment.stages[name].references):
        if reference.folder is not None:
            parts = StageFolder.open(reference.folder).record.get("parts", {})
            found[reference.text] = {"key": session.reference_key(reference), "parts": parts}
    return found


def _stage(session: Session, stage: StageSpec, anew: bool) -> StageResult:
    reporter, runs, experiment = session.reporter, session.runs, session.experiment
    key = session.key(stage)
    parts = session.parts[stage.name]
    if not anew and (found := find_finished(runs, key)) is not None:
        return _reuse(session, stage, found)
    folder = StageFolder(claim(runs / experiment.name / stage.name, _words(experiment, stage), key))
    lock = Lock(folder.path)
    lock.acquire(reporter.say)
    try:
        folder = StageFolder.open(folder.path)
        if folder.finished and not anew:  # another process was faster
            return _reuse(session, stage, folder)
        if anew:
            aside = _set_aside(folder.path)
            if aside is not None:
                reporter.say(f"{stage.name}: the old folder is now {aside}")
            folder = StageFolder(folder.path)
        elif not folder.record:
            _begin(session, stage, folder, parts)
        folder.write(
            experiment=experiment.name,
            stage=stage.name,
            label=_words(experiment, stage, labels=True),
            key=key,
            key_without_steps=keys.key_of(parts, without="steps"),
            parts=parts,
            ancestors=_ancestors(session, stage),
            written=experiment.written(experiment.with_ancestors([stage.name])),
            steps=stage.settings.steps,
            registry=str(experiment.host.catalogue_file.parent) if experiment.host.catalogue_file else None,
        )
        reporter.say(f"{stage.name}: {folder.path}")
        world().told(("trained", folder.path))
        metrics = _train(session, stage, folder)
    finally:
        lock.release()
    return StageResult(stage.name, folder.path, "trained", metrics)


def _followed(session: Session, stage: StageSpec) -> StageResult:
    """The same stage in a process that is not the first one, which says what becomes of it."""
    status, path = world().told()
    if not path.is_dir():
        raise ResourceError(
            f"there is no {path} on {socket.gethostname()}: all nodes must see the same runs folder, which --runs names"
        )
    folder = StageFolder.open(path)
    if status == "trained":
        _train(session, stage, folder)
    return StageResult(stage.name, path, status, folder.metrics)


def _begin(session: Session, stage: StageSpec, folder: StageFolder, parts: Mapping[str, str]) -> None:
    """A new folder: from a shorter training of the same, or from nothing; says what changed since the last one."""
    reporter, steps = session.reporter, stage.settings.steps
    shorter = find_shorter(session.runs, keys.key_of(parts, without="steps"), steps)
    if shorter is not None:
        done = shorter.record["steps"]
        if not shorter.record.get("length_read", True):
            reporter.say(f"{stage.name}: going on from {done} iterations in {shorter.path}")
            for name in ("checkpoints", "metrics.jsonl", "samples", BEST):
                source = shorter.path / name
                if source.is_dir():
                    shutil.copytree(source, folder.path / name, dirs_exist_ok=True)
                elif source.is_file():
                    shutil.copy2(source, folder.path / name)
            for source in shorter.path.glob("events.out.tfevents.*"):
                shutil.copy2(source, folder.path / source.name)
            if "best" in shorter.record:
                folder.write(best=shorter.record["best"])
            return
        reporter.say(
            f"{stage.name}: training anew, because something in it follows the number of steps "
            f"({done} in {shorter.path.name}, now {steps})"
        )
        return
    sibling = newest_sibling(folder.path)
    if sibling is not None:
        sources = keys.sources(stage, session.experiment.host)
        changed = keys.changes(sibling.record.get("parts", {}), parts, sources)
        if changed:
            shown = "; ".join(changed[:6]) + (f"; and {len(changed) - 6} more" if len(changed) > 6 else "")
            reporter.say(f"{stage.name}: training anew, because {shown}")


def _reuse(session: Session, stage: StageSpec, folder: StageFolder) -> StageResult:
    """A finished stage is used where it lies; what was not measured yet is measured now."""
    world().told(("reused", folder.path))
    lacking = session.unmeasured(stage, folder)
    session.reporter.say(f"{stage.name}: trained already, in {folder.path}")
    folder.touch()
    if (best := stage.best) is not None and "best" not in folder.record:
        session.reporter.warn(
            f"{stage.name}: the weights that were best by {best} were not kept when it was trained; "
            f"`--fresh {stage.name}` trains anew"
        )
    if lacking:
        warn = session.reporter.warn
        measure_folder(session.experiment, stage.name, folder, lacking, session.device, warn, session.folders)
    return StageResult(stage.name, folder.path, "reused", folder.metrics)


def measure_folder(
    experiment: Experiment,
    name: str,
    folder: StageFolder,
    components: Sequence[Component],
    device: torch.device,
    warn: Callable[[str], None],
    folders: Mapping[str, Path],
    sampler: Component | None = None,
    *,
    best: bool = False,
) -> dict[str, Any]:
    """Measures a finished stage and keeps the numbers with it, those of a sampler beside those without one.

    Args:
        folders: of the stages that the metrics may need.
        sampler: draws the samples; the stage itself otherwise.
        best: the best weights are measured, not the last ones; their numbers stand beside the others, too.
    """
    reporter = Reporter()
    reporter.warn = reporter.say = warn  # type: ignore[method-assign]
    session = Session(experiment, folder.path, device, reporter, folders=folders)
    stage = experiment.stages[name]
    opened = open_stage(folder.path, device, best=best)
    opened.data.attach(session.data(stage).dataset)
    metrics, drawn, done = _measure(session, stage, opened, components, None, sampler)
    by: dict[str, Any] = {}
    if best:
        by = {"state": "best"}
        metrics = _of_best(metrics, folder.record["best"]["metric"])
        drawn = {f"{picture}+best": found for picture, found in drawn.items()}
    if sampler is not None:
        told = _told(sampler)
        by |= {"sampler": sampler.plain()}
        metrics = {f"{metric}+{told}": found for metric, found in metrics.items()}
        drawn = {f"{picture}+{told}": found for picture, found in drawn.items()}
    _save_pictures(folder, stage.settings.options["steps"], drawn)
    measured = folder.record.get("measured", [])
    asked = [session.asked(component) | by for component in done]
    new = [entry for entry in asked if entry not in measured]
    folder.write(metrics=folder.metrics | metrics, measured=measured + new)
    return metrics


def _of_best(metrics: Mapping[str, Any], chosen_by: str) -> dict[str, Any]:
    """Numbers as those of the weights that are best by one of them: ``fid@inception+best``."""
    state = {"state": f"best by {chosen_by}"}
    return {f"{name}+best": found | {"protocol": found["protocol"] | state} for name, found in metrics.items()}


def _told(sampler: Component) -> str:
    """What tells a sampler's numbers from others: its name, and the options that are not at their defaults."""
    plain = sampler.plain()
    changed = [
        f"{name} {plain[name] if isinstance(plain[name], str) else json.dumps(plain[name])}"
        for name, option in sampler.declared.items()
        if option.required or plain[name] != plain_value(option.default)
    ]
    return f"{sampler.name}({', '.join(changed)})" if changed else sampler.name


def _train(session: Session, stage: StageSpec, folder: StageFolder) -> dict[str, Any]:
    experiment, device, reporter, here = session.experiment, session.device, session.reporter, world()
    settings = stage.settings.options
    data = session.data(stage)

    # Build, move, prepare.
    builder = Builder(stage.seed, session.trained)
    algorithm: Algorithm = builder.build(stage.algorithm, data)
    place(algorithm, device)
    if settings["sync_batch_norm"]:
        synchronise_batch_norm(algorithm)
    resuming = here.told(any(folder.checkpoints.glob("[0-9]*.safetensors")))
    if not resuming:
        _prepare(builder, data, stage.seed, device)
        if settings["start"] is not None:
            source = session.opened(settings["start"]).algorithm
            start_from(algorithm.networks(), source, settings["start"].text)

    cadence = settings["checkpoint"].every
    progress = Progress()
    job = Job(
        name=stage.name,
        algorithm=algorithm,
        data=data,
        optimizers=_optimizers(builder, stage, algorithm),
        steps=settings["steps"],
        batch_size=settings["batch_size"],
        seed=stage.seed,
        device=device,
        folder=folder.checkpoints,
        average=_average(stage, algorithm),
        bf16=settings["precision"] == "bf16" and _has_bf16(stage, device, session.reporter.warn),
        clip_gradients=settings["clip_gradients"],
        log_every=settings["log_every"],
        checkpoint_every=cadence if isinstance(cadence, int) else seconds(cadence),
        keep=settings["checkpoint"].keep,
        warn=reporter.warn,
        progress=progress,
    )
    if not here.leads:
        with _deterministic(experiment, device), _explaining(stage, folder):
            train(job)
        return {}
    spec_text = to_yaml(experiment.plain([stage.name]))
    folder.write_text("spec.yaml", spec_text)
    folder.write_text(
        "environment.json", json.dumps(environment(experiment.host, device, Path(experiment.shown).parent), indent=1)
    )

    # Trackers are plugins of a host of their own: the lifecycle hooks reach them and every other plugin.
    record = StageRecord(experiment.name, stage.name, folder.path, spec_text, _flat(stage.plain()))
    hooks = Hooks(experiment, builder, reporter.warn)
    evaluate = settings.get("evaluate")
    live = TrainedStage(stage.name, algorithm, data, device, stage.seed)

    def started(index: int) -> None:
        record.resumed_at, record.resumed_images = index, index * settings["batch_size"]
        hooks("ganvas_stage_started", stage=record)
        if index:
            reporter.say(f"{stage.name}: going on at iteration {index} of {settings['steps']}")

    def pictures(index: int, images: int, previews: Mapping[str, Preview]) -> None:
        _save_pictures(folder, index, previews)
        hooks("ganvas_images", stage=record, index=index, images=images, previews=previews)

    def keep_if_best(index: int, found: Mapping[str, Any], average: Average | None) -> None:
        if stage.best is None or (name := _chosen_by(stage.name, stage.best, found, reporter.warn)) is None:
            return
        value, better = found[name]["value"], found[name]["better"]
        known = folder.record.get("best")
        if math.isnan(value) or (known and (value >= known["value"] if better == "lower" else value <= known["value"])):
            return
        save_model(BEST, average)
        numbers = _of_best(found, name)
        folder.write(best={"metric": name, "value": value, "iteration": index, "metrics": numbers})

    def save_model(file: str, average: Average | None) -> None:
        kept = average.state() if average is not None else None
        states.save(folder.path / file, model_tree(algorithm, kept, data, session.used(stage)))

    def measure_now(index: int, average: Average | None) -> dict[str, float]:
        live.forget()
        progress.doing = "measuring"
        found, drawn, _ = _measure(session, stage, live, stage.metrics, average)
        if drawn:
            pictures(index, index * settings["batch_size"], drawn)
        keep_if_best(index, found, average)
        progress.doing = ""
        return {f"metric/{name}": value["value"] for name, value in found.items()}

    job = replace(
        job,
        pictures_every=settings["pictures_every"] or math.ceil(settings["steps"] / 8),
        evaluate_every=evaluate.every if evaluate is not None else None,
        health=_health(session, stage, algorithm, data),
        started=started,
        scalars=lambda index, images, values: hooks(
            "ganvas_scalars", stage=record, index=index, images=images, scalars=values
        ),
        pictures=pictures,
        evaluate=measure_now,
        saved=lambda index, path: hooks("ganvas_checkpoint_saved", stage=record, index=index, path=path),
    )
    with _explaining(stage, folder), reporter.stage(stage.name, progress), _deterministic(experiment, device):
        outcome = train(job)

    # Finished: the model first, then what it is worth.
    average = outcome.average
    live.forget()
    metrics: dict[str, Any] = {}
    drawn: dict[str, Preview] = {}
    wanted = stage.metrics
    folder.write(length_read=outcome.length_read)
    save_model(MODEL, average)
    done: list[Component] = []
    if wanted:
        reporter.say(f"{stage.name}: measuring {', '.join(component.name for component in wanted)}")
        metrics, drawn, done = _measure(session, stage, live, wanted, average)
        keep_if_best(settings["steps"], metrics, average)
        metrics |= folder.record.get("best", {}).get("metrics", {})
        images = settings["steps"] * settings["batch_size"]
        values = {f"metric/{name}": found["value"] for name, found in metrics.items() if not name.endswith("+best")}
        hooks("ganvas_scalars", stage=record, index=settings["steps"], images=images, scalars=values)
    folder.write(metrics=metrics, measured=[session.asked(component) for component in done])
    if drawn := drawn | portrait(live, average, reporter.warn):
        pictures(settings["steps"], settings["steps"] * settings["batch_size"], drawn)
    hooks("ganvas_stage_finished", stage=record, metrics=metrics)
    return metrics


def _has_bf16(stage: StageSpec, device: torch.device, warn: Callable[[str], None]) -> bool:
    if has_bf16(device):
        return True
    warn(f"{stage.name}: this {device.type} has no bfloat16: precision: bf16 trains in float32 here")
    return False


@contextmanager
def _explaining(stage: StageSpec, folder: StageFolder):
    """What ends a training, with what becomes of it."""
    try:
        yield
    except BrokenState as error:
        raise ResourceError(f"{error}; `--fresh {stage.name}` trains anew and keeps the old folder aside") from error
    except RankLost as error:
        state = Checkpoints(folder.checkpoints, keep=1).last()
        raise RankLost(f"{stage.name}: {error}; {state}" if str(error) else "") from None


def _prepare(builder: Builder, data: Data, seed: int, device: torch.device) -> None:
    """What components compute from the data before they are used, each from a random stream of its own.

    One that wraps another of its kind prepares that one itself: for other data, perhaps, such as single channels.
    """
    asking = [(c, made) for c, made in builder.built if hasattr(made, "prepare") and c.kind != "regularizer"]
    for component, made in asking:
        if any(c.kind == component.kind and component.path.startswith(f"{c.path}.") for c, _ in asking):
            continue
        prepare: Any = made.prepare
        seed_here = derived_seed(seed, "prepare", *component.path.split(".")[2:])
        with fork_random(seed_here):
            prepare(data, torch.Generator(device=device).manual_seed(seed_here))


def _measure(
    session: Session,
    stage: StageSpec,
    live: TrainedStage,
    components: Sequence[Component],
    average: Average | None,
    sampler: Component | None = None,
) -> tuple[dict[str, Any], dict[str, Preview], list[Component]]:
    """Numbers and pictures by name, and which were measured; a metric that fails is warned of.

    Without a sampler the stage's own draws.
    """
    sampler = sampler or stage.sampler
    live.sampler = None if sampler is None else build_sampler(sampler, live)
    builder = Builder(stage.seed, session.trained)
    data = session.data(stage)
    metrics, measured = [], []
    for component in components:
        try:
            metrics.append(builder.build(component, data))
            measured.append(component)
        except MissingData as error:  # weights that could not be fetched: training goes on
            session.reporter.warn(f"{stage.name}: the metric {component.name!r} was not measured: {error}")
    for _, made in builder.built:
        if isinstance(made, torch.nn.Module):
            made.to(session.device)
    _prepare(builder, data, stage.seed, session.device)
    how = "none" if sampler is None else sampler.plain()
    found, drawn, failures = measure(live, metrics, average, sampler=how)
    for line in failures.values():
        session.reporter.warn(f"{stage.name}: {line}")
    if live.sampler is not None and (said := live.sampler.report()):
        session.reporter.say(f"{stage.name}: {said}")
    return found, drawn, [component for place, component in enumerate(measured) if place not in failures]


def _chosen_by(stage: str, best: str, found: Mapping[str, Any], warn: Callable[[str], None]) -> str | None:
    """The number that is meant by ``best: fid`` or ``best: precision-recall.precision``; None where there is none."""

    def plainly(name: str) -> str:
        metric, _, rest = name.partition("@")
        return metric + (f".{rest.rpartition('.')[2]}" if "." in rest else "")

    fitting = [name for name in found if best in (name, plainly(name), name.partition("@")[0].partition(".")[0])]
    if len(fitting) > 1:
        warn(f"{stage}: best: {best} may mean {' or '.join(fitting)}: write one of them; no best weights are kept")
    return fitting[0] if len(fitting) == 1 else None


def _save_pictures(folder: StageFolder, index: int, previews: Mapping[str, Preview]) -> None:
    for name, preview in previews.items():
        path = folder.path / "samples" / f"{name.replace('/', '-')}-{index:09d}.png"
        path.parent.mkdir(exist_ok=True)
        save_image(preview.grid(), path)


def _optimizers(builder: Builder, stage: StageSpec, algorithm: Algorithm) -> dict[str, Any]:
    spec = stage.settings.options["optimizers"]
    names = list(dict.fromkeys(update.optimizer_name for update in flat(algorithm.updates())))
    return {name: builder.build(spec if isinstance(spec, Component) else spec[name]) for name in names}


def _health(session: Session, stage: StageSpec, algorithm: Algorithm, data: Data) -> Health | None:
    """What looks at the training, where it is long enough to be looked at."""
    settings = stage.settings.options
    chosen, log_every = settings["health"], settings["log_every"]
    if chosen is None:
        return None
    every = math.ceil((chosen.every or default_every(settings["steps"])) / log_every) * log_every
    if every > settings["steps"]:
        return None
    extractor = None
    if hasattr(algorithm, "sample"):
        builder = Builder(stage.seed, session.trained)
        extractor = builder.build(chosen.extractor)
        try:
            extractor.check(data)
        except ValueError:  # no pictures: points of a plane are their own features
            extractor = None
        else:
            extractor.to(session.device).eval()
            _prepare(builder, data, stage.seed, session.device)
    return Health(
        algorithm,
        data,
        every=every,
        samples=chosen.samples,
        batch_size=settings["batch_size"],
        steps=settings["steps"],
        seed=stage.seed,
        device=session.device,
        extractor=extractor,
    )


def _average(stage: StageSpec, algorithm: Algorithm) -> tuple[Scheduled, Sequence[str]] | None:
    ema = stage.settings.options["ema"]
    if ema is None:
        return None
    if isinstance(ema, Scheduled):
        return ema, algorithm.averaged
    return ema.half_life, ema.networks or algorithm.averaged


@contextmanager
def _deterministic(experiment: Experiment, device: torch.device):
    if not experiment.settings.options["deterministic"] or device.type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def _words(experiment: Experiment, stage: StageSpec, *, labels: bool = False) -> str:
    """The values set for this run that reach the stage, shortened, for people; only what a sweep labelled, if asked."""
    family = experiment.with_ancestors([stage.name])

    def reaches(path: str) -> bool:
        steps = path.split(".")
        if steps[0] == "stages" and (len(steps) < 3 or steps[1] not in family):
            return False
        untrained = ("evaluate", "checkpoint", "health", "log_every", "pictures_every", "name", "trackers")
        return not any(word in untrained for word in steps)

    words = []
    for choice in experiment.chosen:
        for path, node in choice.nodes.items():
            if not reaches(path) or (labels and not choice.label):
                continue
            text = choice.label or f"{path.split('.')[-1]}-{_short(node.plain)}"
            words.append("".join(c if c.isalnum() or c in ".-_" else "-" for c in text)[:24].strip("-."))
    return "_".join(dict.fromkeys(words))[:60]


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return "-".join(_short(inner) for inner in (value.values() if isinstance(value, dict) else value))
    return str(value)


def _set_aside(path: Path) -> Path | None:
    """Renames an old folder out of the way, keeping the lock that is held in it."""
    contents = [entry for entry in path.iterdir() if entry.name not in ("lock.json", ".lock-guard")]
    if not contents:
        return None
    aside = path.with_name(f"{path.name}.old-{time.strftime('%Y%m%d-%H%M%S')}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.old-{time.strftime('%Y%m%d-%H%M%S')}-{number}")
    aside.mkdir()
    for entry in contents:
        entry.rename(aside / entry.name)
    return aside


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    """Options by dotted path, for hyperparameters."""
    if isinstance(tree, dict):
        return {k: v for key, inner in tree.items() for k, v in _flat(inner, f"{path}.{key}" if path else key).items()}
    if isinstance(tree, list):
        return {k: v for index, inner in enumerate(tree) for k, v in _flat(inner, f"{path}[{index}]").items()}
    return {path: tree} if tree is not None else {}
