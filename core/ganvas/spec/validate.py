"""From a tree of nodes to typed values: the walk over nested components that finds every mistake at once."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Lt
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from ganvas.kinds import KINDS
from ganvas.kinds.options import Group, Scheduled
from ganvas.registry.bases import BrokenComponent, contract_of
from ganvas.registry.documents import Node, Place, Problem, did_you_mean, with_article
from ganvas.registry.plugins import BUNDLED, Entry, Host
from ganvas.registry.signature import (
    Form,
    GroupForm,
    Leaf,
    ListOf,
    MapOf,
    OneOf,
    Option,
    ScheduledForm,
    TrainedForm,
    UseForm,
    alternatives,
    given_to,
    options_of,
)
from ganvas.spec.source import expand_path

__all__ = [
    "Component",
    "GroupValue",
    "StageReference",
    "Validator",
    "flow",
    "plain_value",
    "references_in",
    "shown",
]


@dataclass
class Component:
    """A component as a spec asks for it, with its options checked and completed."""

    kind: str
    name: str
    cls: type
    entry: Entry
    options: dict[str, Any]
    path: str
    place: Place
    given: int
    declared: dict[str, Option] = field(repr=False, default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As it would stand in a complete spec."""
        return {"use": self.name, **{name: plain_value(value) for name, value in self.options.items()}}


@dataclass
class GroupValue:
    """Options that stand together under one key."""

    options: dict[str, Any]
    declared: dict[str, Option] = field(repr=False, default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("options", {})
        if name in options:
            return options[name]
        raise AttributeError(name)


@dataclass
class StageReference:
    """What an earlier stage trained, as a spec names it.

    Attributes:
        text: as written. ``kinds``: those that will do; empty for a whole stage (``start:``).
        stage, part: found when the stages are known; the part has no name where the stage is meant as a whole.
        folder: a finished stage's, instead. files: a folder of other files, where one will do (``takes_files``).
    """

    text: str
    kinds: tuple[str, ...]
    path: str
    place: Place
    base: Path
    stage: str | None = None
    part: str | None = None
    folder: Path | None = None
    takes_files: bool = False
    files: Path | None = None

    @property
    def asked(self) -> str:
        """``encoder``, ``encoder or classifier``: what was asked for, in words."""
        return TrainedForm(self.kinds, self.takes_files).describe().removeprefix("trained ")

    def fits(self, product: type) -> bool:
        """Whether a product of this class will do."""
        return any(issubclass(product, contract_of(kind)) for kind in self.kinds)

    @property
    def origin(self) -> str:
        """What to call it in a name: the stage, its part, or the folder without its path."""
        return self.text if self.folder is None else self.folder.name


def references_in(value: Any) -> Iterator[StageReference]:
    """Every reference to a stage in a validated value."""
    match value:
        case StageReference():
            yield value
        case Component() | GroupValue():
            for inner in value.options.values():
                yield from references_in(inner)
        case list() | tuple():
            for inner in value:
                yield from references_in(inner)
        case dict():
            for inner in value.values():
                yield from references_in(inner)


def plain_value(value: Any) -> Any:
    """A validated value as plain YAML."""
    match value:
        case Component():
            return value.plain()
        case GroupValue():
            return {name: plain_value(inner) for name, inner in value.options.items()}
        case StageReference():
            return value.text if (place := value.folder or value.files) is None else str(place)
        case Scheduled():
            return value.plain()
        case Path():
            return str(value)
        case list() | tuple():
            return [plain_value(inner) for inner in value]
        case Mapping():
            return {name: plain_value(inner) for name, inner in value.items()}
    return value


class Validator:
    """Checks nodes against forms and collects problems; it never raises for a user's mistake.

    Args:
        host: finds components by name.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.problems: list[Problem] = []
        self.references: list[StageReference] = []
        self._plugin: str | None = None  # whose default is being read

    def problem(self, place: Place, path: str, message: str) -> None:
        self.problems.append(Problem(place, path, message))

    # -- components ------------------------------------------------------------------------------------------------

    def component(self, node: Node, kind: str, path: str, extra: Collection[str] = ()) -> Component | None:
        """A name, or a mapping with ``use``. ``extra``: further keys that belong to somebody else."""
        name_node = node.get("use") if isinstance(node.value, dict) else node
        if name_node is None:
            names = self.host.names(kind)
            hint = f"use: {names[0]}" if names else "use: NAME"
            if len(node.value) == 1 and next(iter(node.value)) in names:
                hint = f"use: {next(iter(node.value))}"
            self.problem(node.place, path, f"{with_article(kind)} needs its name: {{{hint}, …}}")
            return None
        if not isinstance(name_node.value, str):
            what = f"must be the name of {with_article(kind)}, not {shown(name_node)}"
            self.problem(name_node.place, path, what)
            return None
        name = name_node.value
        if self._plugin is not None:
            name = self.host.default(kind, name, self._plugin)
        try:
            entry = self.host.find(kind, name)
            cls = self.host.resolve(entry)
            declared = options_of(cls)
            given = given_to(cls, kind)
        except BrokenComponent as error:
            for mistake in error.mistakes:
                self.problem(name_node.place, path, mistake)
            return None
        component = Component(kind, name, cls, entry, {}, path, name_node.place, given, declared)
        before = len(self.problems)
        nodes = node.value if isinstance(node.value, dict) else {}
        chosen: dict[str, type] = {}
        late: list[str] = []
        for key in nodes:
            if key == "use" or key in extra:
                continue
            if key not in declared:
                hint = did_you_mean(key, [*declared, *extra])
                self.problem(node.keys[key], f"{path}.{key}", f"the {kind} {name!r} has no option {key!r}{hint}")
        for key, option in declared.items():
            inner = nodes.get(key)
            if inner is None:
                if option.required:
                    self.problem(name_node.place, path, f"the {kind} {name!r} needs {_told(option)}")
                    continue
                late.append(key)
                if option.default is None or option.default is PydanticUndefined:
                    component.options[key] = None
                    continue
                component.options[key] = self.default(
                    option.default, option.form, f"{path}.{key}", name_node.place, node.base, entry.plugin
                )
            else:
                component.options[key] = self.value(inner, option.form, f"{path}.{key}")
            if isinstance(component.options[key], Component):
                chosen[key] = component.options[key].cls
        if len(self.problems) == before:
            self._late_defaults(component, chosen, late, name_node, node)
        # Options keep the order of the signature, whatever order they were found in.
        component.options = {key: component.options[key] for key in declared if key in component.options}
        return component

    def _late_defaults(
        self, component: Component, chosen: dict[str, type], late: list[str], name_node: Node, node: Node
    ) -> None:
        """Defaults that depend on the other options (an encoder's recommended views)."""
        defaults = getattr(component.cls, "defaults", None)
        if defaults is None:
            return
        for key, value in defaults(chosen).items():
            if key in late:
                form, path = component.declared[key].form, f"{component.path}.{key}"
                component.options[key] = self.default(
                    value, form, path, name_node.place, node.base, component.entry.plugin
                )

    def group(self, node: Node, group: type[Group], path: str, what: str) -> GroupValue:
        """The options of a group; unknown keys are problems."""
        declared = options_of(group)
        value = GroupValue({}, declared)
        if not isinstance(node.value, dict):
            self.problem(node.place, path, f"must be a {GroupForm(group).describe()}, not {shown(node)}")
            return value
        for key in node.value:
            if key not in declared:
                inner = f"{path}.{key}" if path else key
                self.problem(node.keys[key], inner, f"{what} has no {key!r}{did_you_mean(key, list(declared))}")
        self.options(node, declared, path, what, value.options)
        return value

    def options(self, node: Node, declared: dict[str, Option], path: str, what: str, into: dict[str, Any]) -> None:
        """Values for declared options out of a mapping, defaults for what it leaves out."""
        for key, option in declared.items():
            inner = node.value.get(key)
            inner_path = f"{path}.{key}" if path else key
            if inner is None:
                if option.required:
                    self.problem(node.place, path, f"{what} needs {_told(option)}")
                    continue
                if option.default is None:
                    into[key] = None
                    continue
                into[key] = self.default(option.default, option.form, inner_path, node.place, node.base, BUNDLED)
            else:
                into[key] = self.value(inner, option.form, inner_path)

    # -- values ----------------------------------------------------------------------------------------------------

    def default(self, default: Any, form: Form, path: str, place: Place, base: Path, plugin: str) -> Any:
        """What an option is that the spec leaves out; a component that it names is the plugin's own if several fit."""
        outer, self._plugin = self._plugin, plugin
        value = self.value(Node.of(plain_value(default), place, base), form, path)
        self._plugin = outer
        return value

    def value(self, node: Node, form: Form, path: str) -> Any:
        """A value of a form; None after a problem."""
        match form:
            case Leaf():
                return self._leaf(node, form, path)
            case ScheduledForm():
                return self._scheduled(node, form, path)
            case UseForm(kind=kind):
                return self.component(node, kind, path)
            case TrainedForm():
                return self._reference(node, form, path)
            case GroupForm(group=group):
                return self.group(node, group, path, path.rpartition(".")[2])
            case ListOf():
                return self._list(node, form, path)
            case MapOf(item=item):
                if not isinstance(node.value, dict):
                    self.problem(node.place, path, f"must be a {form.describe()}, not {shown(node)}")
                    return None
                return {key: self.value(inner, item, f"{path}.{key}") for key, inner in node.value.items()}
            case OneOf():
                return self._one_of(node, form, path)
        raise AssertionError(form)

    def _leaf(self, node: Node, form: Leaf, path: str) -> Any:
        plain = node.plain
        try:
            value = form.adapter.validate_json(json.dumps(plain), strict=True)
        except ValidationError as error:
            self._explain(error, node, form, path)
            return None
        for inner_path, inner in node.walk(path):
            if isinstance(inner.value, float) and not math.isfinite(inner.value):
                self.problem(inner.place, inner_path, f"must be a finite number, not {shown(inner)}")
                return None
        try:
            return _expand(value, node.base)
        except ValueError as error:
            self.problem(node.place, path, f"must be a path, not {shown(node)}: {error}")
            return None

    def _explain(self, error: ValidationError, node: Node, form: Leaf, path: str) -> None:
        every = error.errors()
        # Of a union's members the one that the value has the type of says what is wrong.
        first = next((e for e in every if not e["type"].endswith(("_type", "_parsing", "_from_float"))), every[0])
        kind, context = first["type"], first.get("ctx", {})
        place, inner_path, inner = _locate(node, first["loc"], path)
        relation = {
            "greater_than": ("greater than", "gt"),
            "greater_than_equal": ("at least", "ge"),
            "less_than": ("less than", "lt"),
            "less_than_equal": ("at most", "le"),
            "multiple_of": ("a multiple of", "multiple_of"),
        }.get(kind)
        if kind == "multiple_of" and context["multiple_of"] == 1:
            self.problem(place, inner_path, f"must be a whole number, not {shown(inner)}")
        elif relation:
            self.problem(
                place, inner_path, f"must be {relation[0]} {_number(context[relation[1]])}, not {shown(inner)}"
            )
        elif kind == "literal_error":
            choices = [str(choice) for choice in _choices(form.hint)]
            near = difflib.get_close_matches(str(inner.plain), choices, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.problem(place, inner_path, f"must be {alternatives(choices)}, not {shown(inner)}{hint}")
        elif kind == "value_error":  # of a validator of the option's own
            self.problem(place, inner_path, f"{context['error']}, not {shown(inner)}")
        elif kind in ("too_short", "too_long") and context["field_type"] != "Tuple":
            limit = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
            self.problem(place, inner_path, f"must have {limit} entries, not {context['actual_length']}")
        elif kind in ("string_too_short", "string_too_long", "string_pattern_mismatch"):
            said = first["msg"].removeprefix("String should ")
            self.problem(place, inner_path, f"must {said}, not {shown(inner)}")
        else:
            self.problem(node.place, path, f"must be {_article(form.describe())}, not {shown(node)}")

    def _scheduled(self, node: Node, form: ScheduledForm, path: str) -> Any:
        if not isinstance(node.value, dict):
            value = self._leaf(node, Leaf(float, form.metadata), path)
            return None if value is None else Scheduled(value)
        before = len(self.problems)
        stepped = "value" in node.value
        allowed = _STEPPED if stepped and "from" not in node.value else _SCHEDULE
        for key in node.value:
            if key not in allowed:
                what = "a schedule of one value" if allowed is _STEPPED else "a schedule"
                self.problem(node.keys[key], f"{path}.{key}", f"{what} has no {key!r}{did_you_mean(key, allowed)}")
        if stepped == ("from" in node.value) or (not stepped and "to" not in node.value):
            self.problem(
                node.place, path, "a schedule is {from: A, to: B, …}, or {value: A, first: [n, B], every: [n, B]}"
            )
            return None
        numbers: dict[str, Any] = {}
        for key in ("from", "to", "value"):
            if (inner := node.get(key)) is not None:
                numbers[key] = self._leaf(inner, Leaf(float, form.metadata), f"{path}.{key}")
        for key in ("hold", "warm_up"):
            if (inner := node.get(key)) is not None:
                numbers[key] = self._leaf(inner, _SHARE, f"{path}.{key}")
        pairs = {key: self._pair(node.get(key), form, f"{path}.{key}") for key in ("first", "every")}
        shape_node = node.get("shape")
        shape = self._leaf(shape_node, _SHAPE, f"{path}.shape") if shape_node else "linear"
        over = self._over(node.get("over"), f"{path}.over")
        if shape == "exponential" and not all((numbers.get(key) or 0) > 0 for key in ("from", "to")):
            self.problem(node.place, path, "an exponential schedule goes between two numbers above 0")
        if len(self.problems) > before:
            return None
        value = numbers["value"] if stepped else numbers["from"]
        to = None if stepped or numbers["to"] == value else numbers["to"]
        warm_up = numbers.get("warm_up", 0.0)
        return Scheduled(value, to, shape, over, numbers.get("hold", 0.0), warm_up, pairs["first"], pairs["every"])

    def _pair(self, node: Node | None, form: ScheduledForm, path: str) -> tuple[int, float] | None:
        if node is None:
            return None
        if not isinstance(node.value, list) or len(node.value) != 2:
            self.problem(node.place, path, f"must be [iterations, value], not {shown(node)}")
            return None
        count = self._leaf(node.value[0], _COUNT, f"{path}[0]")
        value = self._leaf(node.value[1], Leaf(float, form.metadata), f"{path}[1]")
        return None if count is None or value is None else (count, value)

    def _over(self, node: Node | None, path: str) -> tuple[str, int] | None:
        if node is None:
            return None
        if isinstance(node.value, dict) and len(node.value) == 1 and next(iter(node.value)) in ("images", "iterations"):
            unit, inner = next(iter(node.value.items()))
            count = self._leaf(inner, _COUNT, f"{path}.{unit}")
            return None if count is None else (unit, count)
        if node.value in ("images", "iterations"):
            return None  # the whole stage, in whichever unit
        self.problem(node.place, path, f"must be {{images: N}} or {{iterations: N}}, not {shown(node)}")
        return None

    def _reference(self, node: Node, form: TrainedForm, path: str) -> StageReference | None:
        if not isinstance(node.value, str):
            self.problem(
                node.place, path, f"must name a {form.describe()}: a stage, stage.part or a folder, not {shown(node)}"
            )
            return None
        reference = StageReference(node.value, form.kinds, path, node.place, node.base, takes_files=form.files)
        self.references.append(reference)
        return reference

    def _list(self, node: Node, form: ListOf, path: str) -> Any:
        if not isinstance(node.value, list):
            self.problem(node.place, path, f"must be a {form.describe()}, not {shown(node)}")
            return None
        if form.fixed:
            if len(node.value) != len(form.items):
                message = f"must have {len(form.items)} entries, not {len(node.value)}"
                self.problem(node.place, path, message)
                return None
            return tuple(self.value(n, f, f"{path}[{i}]") for i, (n, f) in enumerate(zip(node.value, form.items)))
        return [self.value(inner, form.items[0], f"{path}[{index}]") for index, inner in enumerate(node.value)]

    def _one_of(self, node: Node, form: OneOf, path: str) -> Any:
        if node.value is None and form.none:
            return None
        candidates = [option for option in form.forms if _fits(node, option)]
        if not candidates and isinstance(node.value, dict):  # options of a component whose name is missing
            candidates = [option for option in form.forms if isinstance(option, UseForm)]
        if not candidates and len(form.forms) == 1:
            candidates = list(form.forms)
        if not candidates:
            self.problem(node.place, path, f"must be {_article(form.describe())}, not {shown(node)}")
            return None
        first: tuple[list[Problem], list[StageReference]] | None = None
        for candidate in candidates:
            kept, self.problems = self.problems, []
            seen, self.references = self.references, []
            value = self.value(node, candidate, path)
            mine, self.problems = self.problems, kept
            named, self.references = self.references, seen
            if not mine:
                self.references += named
                return value
            first = first or (mine, named)
        assert first is not None
        self.problems += first[0]
        return None


_SCHEDULE = ("from", "to", "shape", "over", "hold", "warm_up", "value", "first", "every")
_STEPPED = ("value", "first", "every", "warm_up", "over")
_SHARE = Leaf(float, (Ge(0), Lt(1)))
_SHAPE = Leaf(Literal["linear", "cosine", "exponential"])
_COUNT = Leaf(int, (Ge(1),))


def _fits(node: Node, form: Form) -> bool:
    """Whether a node has the outline of a form, so that its problems are worth telling."""
    value = node.value
    match form:
        case Leaf():
            return not isinstance(value, dict)
        case ScheduledForm():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number or (isinstance(value, dict) and bool({"from", "to", "value"} & set(value)))
        case UseForm():
            return isinstance(value, str) or (isinstance(value, dict) and "use" in value)
        case TrainedForm():
            return isinstance(value, str)
        case ListOf():
            return isinstance(value, list)
        case MapOf(item=UseForm()):
            named = isinstance(value, dict) and value and "use" not in value
            return bool(named) and all(isinstance(inner.value, str | dict) for inner in value.values())
        case MapOf() | GroupForm():
            return isinstance(value, dict) and "use" not in value
    return True


def _expand(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return expand_path(str(value), base)
    if isinstance(value, list | tuple):
        return type(value)(_expand(item, base) for item in value)
    if isinstance(value, dict):
        return {key: _expand(item, base) for key, item in value.items()}
    return value


def _locate(node: Node, location: tuple[Any, ...], path: str) -> tuple[Place, str, Node]:
    """The innermost node that pydantic complains about."""
    for step in location:
        inner = None
        if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            inner, path = node.value[step], f"{path}[{step}]"
        elif isinstance(node.value, dict) and step in node.value:
            inner, path = node.value[step], f"{path}.{step}"
        node = inner or node
    return node.place, path, node


def _choices(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [choice for argument in get_args(hint) for choice in _choices(argument)]


def _article(description: str) -> str:
    """``number`` -> ``a number``; lists of choices and ``text`` take none."""
    singular = ("number", "whole number", "path", "list", "mapping", "trained", *KINDS)
    return with_article(description) if description.startswith(singular) else description


def _told(option: Option) -> str:
    return f"{option.name!r} ({option.description})" if option.description else repr(option.name)


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def shown(node: Node) -> str:
    """A value as the user wrote it, where that is short."""
    match node.value:
        case None:
            return "nothing"
        case dict() | list():
            text = flow(node)
            return text if len(text) <= 60 else "a mapping" if isinstance(node.value, dict) else "a list"
        case str() if len(node.value) > 60:
            return f"{node.value[:60]!r}…"
        case str():
            return repr(node.value)
    return flow(node)


def flow(node: Node) -> str:
    """A value in one line of YAML."""
    match node.value:
        case dict():
            return f"{{{', '.join(f'{key}: {flow(inner)}' for key, inner in node.value.items())}}}"
        case list():
            return f"[{', '.join(flow(inner) for inner in node.value)}]"
        case bool():
            return "true" if node.value else "false"
        case None:
            return "null"
        case float() if not math.isfinite(node.value):
            return str(node.value).replace("inf", ".inf").replace("nan", ".nan")
        case int() if abs(node.value) >= 10**60:
            return "a huge number"
    return str(node.value)
