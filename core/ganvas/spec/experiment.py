"""A whole spec, checked as far as that goes without building anything."""

from __future__ import annotations

import graphlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganvas.registry.bases import kind_of
from ganvas.registry.documents import Mistakes, Node, Place, Problem, did_you_mean, with_article
from ganvas.registry.plugins import Host
from ganvas.registry.signature import alternatives, options_of
from ganvas.spec.source import expand_path, load_source
from ganvas.spec.stage import NAME, ExperimentSettings, StageSettings, settings_of
from ganvas.spec.sweep import Choice, axes_of, blamed, combinations
from ganvas.spec.validate import Component, GroupValue, StageReference, Validator, plain_value, shown

__all__ = ["Experiment", "StageSpec", "find_reference", "load_experiment", "parse_experiment"]

DatasetSpec = Component | dict[str, Component]
_NAME = re.compile(NAME)


@dataclass
class StageSpec:
    """One stage of a checked spec.

    Attributes:
        algorithm: with the options of the algorithm and its parts.
        settings: the engine's options (``StageSettings``).
        node: the stage as it stands in the spec.
        references: what it uses of earlier stages, ``start`` included.
        dataset, seed: its own or the experiment's.
    """

    name: str
    algorithm: Component
    settings: GroupValue
    dataset: DatasetSpec
    seed: int
    place: Place
    node: Node
    references: list[StageReference] = field(default_factory=list)

    @property
    def uses(self) -> list[str]:
        """Names of the stages it uses, each once."""
        return list(dict.fromkeys(ref.stage for ref in self.references if ref.stage is not None))

    @property
    def metrics(self) -> list[Component]:
        """What is measured of it: as ``evaluate`` says, and what the algorithm itself has as options."""
        evaluate = self.settings.options.get("evaluate")
        return [*(evaluate.metrics if evaluate is not None else ()), *self._own("metric")]

    @property
    def best(self) -> str | None:
        """The metric by which the best weights are kept."""
        evaluate = self.settings.options.get("evaluate")
        return None if evaluate is None else evaluate.options.get("best")

    @property
    def sampler(self) -> Component | None:
        """What draws the samples that are measured, where the algorithm has one among its options."""
        return next(iter(self._own("sampler")), None)

    def _own(self, kind: str) -> list[Component]:
        options = [option if isinstance(option, list) else [option] for option in self.algorithm.options.values()]
        return [one for some in options for one in some if isinstance(one, Component) and one.kind == kind]

    def plain(self) -> dict[str, Any]:
        """As it would stand in a complete spec."""
        asked = settings_of(self.algorithm.cls)
        settings = {name: plain_value(value) for name, value in self.settings.options.items() if name in asked}
        return {**self.algorithm.plain(), **settings}


@dataclass
class Experiment:
    """A checked spec.

    Attributes:
        members: every combination of its sweep, each an experiment of its own.
        remarks: what was dropped while it was put together, for the user.
        chosen: what sets this run apart: ``--set``, overrides, the values of a sweep.
    """

    name: str
    settings: GroupValue
    stages: dict[str, StageSpec]
    host: Host
    root: Node
    shown: str
    members: list[Experiment] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    chosen: list[Choice] = field(default_factory=list)

    def plain(self, stages: Sequence[str] | None = None) -> dict[str, Any]:
        """The complete spec, every default written out; ``stages`` limits it to some, with their ancestors."""
        kept = self.with_ancestors(stages) if stages is not None else list(self.stages)
        top = {name: plain_value(value) for name, value in self.settings.options.items()}
        return {**top, "name": self.name, "stages": {name: self.stages[name].plain() for name in kept}}

    def written(self, stages: Sequence[str]) -> list[str]:
        """Paths of all that stands in the spec for some stages, what holds for all stages included; not defaults."""
        own = tuple(f"stages.{name}." for name in stages)
        return [
            path for path, _ in self.root.walk() if path.startswith(own) or not path.startswith(("stages", "sweep"))
        ]

    def with_ancestors(self, stages: Sequence[str]) -> list[str]:
        """The stages and what they use, in training order."""
        wanted: set[str] = set()
        waiting = list(stages)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting += self.stages[name].uses
        return [name for name in self.stages if name in wanted]


def load_experiment(
    path: Path, settings: Sequence[str] = (), overrides: Mapping[str, Any] | None = None, shown: str | None = None
) -> Experiment:
    """Reads and checks a spec. Raises ``Mistakes`` with everything that is wrong."""
    root, remarks = load_source(path, settings, overrides, shown)
    host = Host(path.resolve().parent)
    experiment = parse_experiment(root, host, shown or str(path), default_name=path.stem)
    experiment.remarks = remarks
    given = [(target.strip(), text.strip()) for target, _, text in (setting.partition("=") for setting in settings)]
    chosen = [Choice("", {path: Node.of(value, Place(""))}) for path, value in [*given, *(overrides or {}).items()]]
    for one in (experiment, *experiment.members):
        one.chosen = chosen + one.chosen
    return experiment


def parse_experiment(root: Node, host: Host, shown_as: str, default_name: str, *, opened: bool = False) -> Experiment:
    """Checks a tree of nodes. Raises ``Mistakes``.

    Args:
        opened: the spec is a finished stage's own: the folders it names need not be there any more.
    """
    validator = Validator(host)
    top = Node(dict(root.value), root.place, root.base, dict(root.keys))
    stages_node, sweep_node = top.value.pop("stages", None), top.value.pop("sweep", None)
    known = [*options_of(ExperimentSettings), "stages", "sweep", "extends"]
    for key in list(top.value):
        if key not in known:
            validator.problem(root.keys[key], key, f"a spec has no key {key!r}{did_you_mean(key, known)}")
            del top.value[key]
    settings = validator.group(top, ExperimentSettings, "", "a spec")
    name = settings.options.get("name") or (default_name if _NAME.fullmatch(default_name) else "experiment")
    stages: dict[str, StageSpec] = {}
    if stages_node is None or not isinstance(stages_node.value, dict) or not stages_node.value:
        place = root.place if stages_node is None else stages_node.place
        validator.problem(place, "stages", "a spec needs stages: a mapping of names to {use: ALGORITHM, steps: N, …}")
    else:
        for stage_name, node in stages_node.value.items():
            if not _NAME.fullmatch(stage_name):
                message = f"the name of a stage is made of letters, digits, '.', '_' and '-', not {stage_name!r}"
                validator.problem(stages_node.keys[stage_name], f"stages.{stage_name}", message)
                continue
            stage = _stage(validator, stage_name, node, settings, stages_node.keys[stage_name])
            if stage is not None:
                stages[stage_name] = stage
    every_name = list(stages_node.value) if stages_node is not None and isinstance(stages_node.value, dict) else []
    _connect(validator, stages, every_name, opened)
    ordered = _ordered(validator, stages)
    members = []
    if sweep_node is not None and not validator.problems:
        members = _members(validator, root, sweep_node, host, shown_as, default_name)
    if validator.problems:
        raise Mistakes(validator.problems)
    return Experiment(name, settings, {n: stages[n] for n in ordered}, host, root, shown_as, members)


def _stage(validator: Validator, name: str, node: Node, settings: GroupValue, key_place: Place) -> StageSpec | None:
    path = f"stages.{name}"
    if not isinstance(node.value, dict):
        validator.problem(node.place, path, f"a stage is a mapping {{use: ALGORITHM, steps: N, …}}, not {shown(node)}")
        return None
    engine = options_of(StageSettings)
    first = len(validator.references)
    algorithm = None
    if "use" not in node.value:
        names = ", ".join(validator.host.names("algorithm"))
        validator.problem(key_place, path, f"a stage needs use: the algorithm it runs ({names})")
    else:
        algorithm = validator.component(node, "algorithm", path, extra=engine)
    own = Node(
        {key: inner for key, inner in node.value.items() if key in engine}, key_place, node.base, dict(node.keys)
    )
    chosen = GroupValue({}, engine)
    asked = settings_of(None if algorithm is None else algorithm.cls)
    validator.options(own, asked, path, "a stage", chosen.options)
    if algorithm is None:
        return None
    if "steps" not in asked:
        chosen.options["steps"] = algorithm.cls.steps  # type: ignore[attr-defined]
        if "steps" in own.value:
            message = f"the algorithm {algorithm.name!r} trains nothing: leave steps out"
            validator.problem(node.keys["steps"], f"{path}.steps", message)
    _check_best(validator, chosen.options.get("evaluate"), node, f"{path}.evaluate")
    if chosen.options.get("optimizers") is None:
        default, form = getattr(algorithm.cls, "optimizers", "adam"), engine["optimizers"].form
        chosen.options["optimizers"] = validator.default(
            default, form, f"{path}.optimizers", node.place, node.base, algorithm.entry.plugin
        )
    dataset = chosen.options.get("dataset") or settings.options.get("dataset")
    if dataset is None:
        told = ("dataset", f"{path}.dataset")
        if not any(problem.path.startswith(told) for problem in validator.problems):
            validator.problem(key_place, path, "there is no dataset: name one here, or at the top of the spec for all")
        dataset = {}  # never used, but what else is wrong with the stage can be told
    seed = chosen.options.get("seed")
    seed = settings.options.get("seed", 0) if seed is None else seed
    return StageSpec(name, algorithm, chosen, dataset, seed, key_place, node, validator.references[first:])


def _check_best(validator: Validator, evaluate: GroupValue | None, node: Node, path: str) -> None:
    """The weights that are best by a metric can be kept if it is measured while training."""
    best = None if evaluate is None else evaluate.options.get("best")
    if evaluate is None or best is None:
        return
    group = node.value["evaluate"]
    place = group.value["best"].place
    names = [component.name for component in evaluate.options.get("metrics") or () if component is not None]
    if re.split("[@.]", best)[0] not in names:
        message = f"must name a metric of this stage, not {best!r}{did_you_mean(best, names)}"
        validator.problem(place, f"{path}.best", message)
    if group.value.get("every") is None:
        validator.problem(place, f"{path}.best", "needs every: n, the iterations after which the weights are compared")


def _connect(validator: Validator, stages: dict[str, StageSpec], every_name: list[str], opened: bool) -> None:
    """Finds what each reference means: a stage, a part of one, or a finished stage's folder."""
    for stage in stages.values():
        for reference in stage.references:
            find_reference(validator, stage.name, reference, stages, every_name, opened=opened)


def find_reference(
    validator: Validator,
    user: str,
    reference: StageReference,
    stages: Mapping[str, StageSpec],
    names: Sequence[str],
    *,
    opened: bool = False,
) -> None:
    """Finds the stage and part, or the folder, that a reference means, among stages that are known.

    Args:
        user: the stage that uses it, which cannot be itself.
        names: of all stages, those among them that are broken.
        opened: a folder need not be there any more.
    """

    def refuse(message: str) -> None:
        validator.problem(reference.place, reference.path, message)

    name, _, part = reference.text.partition(".")
    if reference.text in names:
        name, part = reference.text, ""
    if name == user:
        refuse(f"the stage {name!r} cannot use itself")
        return
    if name not in names:
        try:
            folder = expand_path(reference.text, reference.base)
        except ValueError as error:
            refuse(f"must name a stage or a folder: {error}")
            return
        if "/" in reference.text or os.path.isdir(folder):
            finished = os.path.isfile(folder / "model.safetensors")
            if reference.takes_files and not finished and (opened or os.path.isdir(folder)):
                reference.files = folder
                return
            if not opened and not finished:
                if reference.takes_files:
                    refuse(f"there is no folder {reference.text}")
                    return
                refuse(f"there is no finished stage in {reference.text} (no model.safetensors)")
                return
            reference.folder = folder
            return
        kinds = [kind for kind in reference.kinds if kind != "algorithm"]
        what = f" to take {alternatives([with_article(kind) for kind in kinds])} from" if kinds else ""
        hint = did_you_mean(name, [other for other in names if other != user])
        refuse(f"there is no stage {name!r}{what}{hint}")
        return
    reference.stage = name
    if name not in stages or not reference.kinds:
        return
    offers = stages[name].algorithm.cls.offers()  # type: ignore[attr-defined]
    gives = {name: cls for name, cls in offers.items() if name}
    fitting = [p for p, cls in offers.items() if reference.fits(cls)]
    if part:
        if part not in gives:
            refuse(f"the stage {name!r} has no part {part!r}{did_you_mean(part, list(gives))}")
        elif part not in fitting:
            given = kind_of(gives[part]) or gives[part].__name__
            refuse(f"{reference.text!r} is no {reference.asked}, but {with_article(given)}")
        reference.part = part
    elif not fitting:
        given = ", ".join(gives) or "nothing"
        refuse(f"the stage {name!r} trains no {reference.asked}: {stages[name].algorithm.name!r} gives {given}")
    elif len(fitting) > 1:
        choices = " or ".join(f"{name}.{p}" for p in fitting)
        refuse(f"the stage {name!r} trains several of the kind {reference.asked}: write {choices}")
    else:
        reference.part = fitting[0]


def _ordered(validator: Validator, stages: dict[str, StageSpec]) -> list[str]:
    """Training order: what is used first, otherwise as written."""
    done: list[str] = []
    try:
        graphlib.TopologicalSorter({name: stage.uses for name, stage in stages.items()}).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        first = next(name for name in stages if name in cycle)
        turned = cycle[:-1]
        turned = turned[turned.index(first) :] + turned[: turned.index(first)]
        text = " -> ".join([*turned, first])
        validator.problem(stages[first].place, f"stages.{first}", f"the stages use one another in a circle: {text}")
        return list(stages)

    def place(name: str) -> None:
        if name in done or name not in stages:
            return
        for other in stages[name].uses:
            place(other)
        done.append(name)

    for name in stages:
        place(name)
    return done


def _members(
    validator: Validator, root: Node, sweep: Node, host: Host, shown_as: str, default_name: str
) -> list[Experiment]:
    """Every combination of ``sweep:`` as an experiment of its own."""
    without = root.copy()
    del without.value["sweep"]
    members: list[Experiment] = []
    found: list[tuple[Sequence[Choice], Problem]] = []
    known: dict[str, int] = {}
    axes = axes_of(without, sweep, validator.problem)
    for number, (choices, tree, problems) in enumerate(combinations(without, axes)):
        if not problems:
            try:
                member = parse_experiment(tree, host, shown_as, default_name)
            except Mistakes as mistakes:
                problems = mistakes.problems
            else:
                member.chosen = list(choices)
                members.append(member)
                first = known.setdefault(json.dumps(member.plain(), sort_keys=True, default=str), number)
                if first != number:
                    what = ", ".join(str(choice) for choice in choices)
                    validator.problem(sweep.place, "sweep", f"{first} and {number} ({what}) are one and the same spec")
        found += [(choices, problem) for problem in problems]
    validator.problems += blamed(found)
    return members
