"""A component's options, derived from the signature of its ``__init__``.

What stands before the ``*`` is given by the engine; the keyword-only arguments are the options, and their type hints
are the whole declaration: validation, the JSON schema and the documentation all come from here.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter
from pydantic.fields import FieldInfo

from ganvas.kinds import KINDS
from ganvas.kinds.options import Group, Incidental, Scheduled, Trained, Use
from ganvas.registry.bases import BrokenComponent, kind_of
from ganvas.registry.documents import with_article
from ganvas.registry.hooks import where

__all__ = [
    "REQUIRED",
    "Form",
    "GroupForm",
    "Leaf",
    "ListOf",
    "MapOf",
    "OneOf",
    "Option",
    "ScheduledForm",
    "TrainedForm",
    "UseForm",
    "alternatives",
    "bounds",
    "given_to",
    "options_of",
]

REQUIRED: Any = object()


class Form:
    """What a value in a spec may be."""

    def describe(self) -> str:
        raise NotImplementedError


@dataclass
class Leaf(Form):
    """A value of Python's own types; pydantic checks it, strictly on YAML's types."""

    hint: Any
    metadata: tuple[Any, ...] = ()

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(Annotated[self.hint, *self.metadata] if self.metadata else self.hint)  # type: ignore[misc]

    def describe(self) -> str:
        return _hint_name(self.hint)


@dataclass
class UseForm(Form):
    """A component of a kind: a name, or a mapping with ``use:``."""

    kind: str

    def describe(self) -> str:
        return self.kind


_STAGE = {"algorithm": "stage"}  # what a spec calls one


@dataclass
class TrainedForm(Form):
    """What an earlier stage trained: its name, ``stage.part``, or a finished stage's folder.

    Attributes:
        kinds: those that will do; empty for any stage.
        files: whether a folder of other files will do as well.
    """

    kinds: tuple[str, ...]
    files: bool = False

    def describe(self) -> str:
        words = [_STAGE.get(kind, kind) for kind in self.kinds or ("stage",)]
        return f"trained {alternatives(words)}" + (" or a folder" if self.files else "")


@dataclass
class ScheduledForm(Form):
    """A number that may change while training."""

    metadata: tuple[Any, ...] = ()

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(Annotated[float, *self.metadata] if self.metadata else float)  # type: ignore[misc]

    def describe(self) -> str:
        return "number or schedule"


@dataclass
class ListOf(Form):
    """A list; ``length`` is fixed for tuples."""

    items: tuple[Form, ...]
    fixed: bool = False

    def describe(self) -> str:
        if self.fixed:
            return f"[{', '.join(item.describe() for item in self.items)}]"
        return f"list of {_plural(self.items[0])}"


@dataclass
class MapOf(Form):
    """A mapping from names to values."""

    item: Form

    def describe(self) -> str:
        return f"mapping of names to {_plural(self.item)}"


@dataclass
class OneOf(Form):
    """One of several forms; None among them makes the option optional."""

    forms: tuple[Form, ...]
    none: bool

    def describe(self) -> str:
        words = [word for form in self.forms for word in form.describe().split(" or ")]
        return alternatives(words + (["nothing"] if self.none else []))


@dataclass
class GroupForm(Form):
    """Options that stand together under one key."""

    group: type[Group]

    def describe(self) -> str:
        return f"mapping {{{', '.join(options_of(self.group))}}}"


@dataclass
class Option:
    """One option of a component."""

    name: str
    form: Form
    default: Any
    description: str
    incidental: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.form.describe() + bounds(self.form),
            "default": None if self.required else _plain(self.default),
            "required": self.required,
            "description": self.description,
        }


def _plain(value: Any) -> Any:
    """A default as it would stand in a spec."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Scheduled():
            return value.plain()
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return str(value)


@functools.cache
def options_of(component: type) -> dict[str, Option]:
    """The options of a component's class, by name. Raises ``BrokenComponent`` with every mistake's file and line."""
    found: dict[str, Option] = {}
    mistakes: list[str] = []
    for owner in component.__mro__:
        init = owner.__dict__.get("__init__")
        if init is None:
            continue
        signature = inspect.signature(init)
        named = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name not in found]
        try:
            hints = typing.get_type_hints(init, include_extras=True)
        except Exception as error:
            hints = None
            mistakes.append(
                f"{where(init)}: a type hint of {owner.__name__}.__init__ cannot be resolved ({error}); "
                "import it at module level, not under TYPE_CHECKING"
            )
        for parameter in named:
            said = _default_mistakes(parameter)
            try:
                found[parameter.name] = _option(parameter, hints)
            except BrokenComponent as error:
                said += error.mistakes
            what = f"{where(init)}: the option {parameter.name!r} of {owner.__name__}"
            mistakes += [f"{what}{line}" for line in said]
        if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            break  # without **options, what the base class takes is this class's own business
    if mistakes:
        raise BrokenComponent(*mistakes)
    return found


def given_to(component: type, kind: str) -> int:
    """How many of the kind's positionals the class takes. Raises ``BrokenComponent`` for those that nobody gives."""
    init = component.__init__
    parameters = list(inspect.signature(init).parameters.values())[1:]
    offered = KINDS[kind].given
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return len(offered)
    extra = [p.name for p in positional[len(offered) :] if p.default is p.empty]
    if extra:
        asked = " and ".join(map(repr, extra))
        gives = f"only {', '.join(offered)}" if offered else "nothing"
        raise BrokenComponent(
            f"{where(init)}: {component.__name__}.__init__ asks for {asked}, but {with_article(kind)} is given "
            f"{gives}; put a * before {'it to make it an option' if len(extra) == 1 else 'them to make them options'}"
        )
    return min(len(positional), len(offered))


def _default_mistakes(parameter: inspect.Parameter) -> tuple[str, ...]:
    """What is wrong with an option's name and default, to be said after the option's name."""
    said: tuple[str, ...] = ()
    if parameter.name == "use":
        said += (" hides the key of a spec that names the component; call it something else",)
    if _mutable(parameter.default):
        fix = _frozen(parameter.default)
        said += (
            f" has a mutable default, {parameter.default!r}, which all its builds would share; "
            f"write {'a tuple, ' if fix.startswith('(') else ''}{fix}",
        )
    return said


def _mutable(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_mutable, value))
    if isinstance(value, types.MappingProxyType):
        return any(map(_mutable, value.values()))
    return isinstance(value, MutableSequence | MutableMapping | MutableSet)


def _frozen(value: Any) -> str:
    """The code of a value that cannot change, to stand in for one that can."""
    if isinstance(value, Mapping):
        return f"types.MappingProxyType({{{', '.join(f'{key!r}: {_frozen(inner)}' for key, inner in value.items())}}})"
    if isinstance(value, MutableSequence | MutableSet | tuple):
        items = [_frozen(item) for item in value]
        items = sorted(items) if isinstance(value, MutableSet) else items
        return f"({', '.join(items)}{',' * (len(items) == 1)})"
    return repr(value)


def _option(parameter: inspect.Parameter, hints: Mapping[str, Any] | None) -> Option:
    """Raises ``BrokenComponent`` with what is to be said after the option's name."""
    name = parameter.name
    if parameter.annotation is inspect.Parameter.empty:
        raise BrokenComponent(f" has no type hint; write {name}: float = …")
    default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
    if hints is None:  # told once for them all
        return Option(name, Leaf(Any), default, "")
    try:
        form, field = _form(hints[name])
    except BrokenComponent as error:
        raise BrokenComponent(f": {error}") from error
    description = field.description if field is not None and field.description else ""
    incidental = _mentions_path(form) or Incidental in getattr(hints[name], "__metadata__", ())
    return Option(name, form, default, description, incidental)


def _mentions_path(form: Form) -> bool:
    match form:
        case Leaf(hint=hint):
            return hint is Path or Path in get_args(hint)
        case OneOf(forms=forms) | ListOf(items=forms):
            return any(_mentions_path(inner) for inner in forms)
    return False


def _form(hint: Any, metadata: tuple[Any, ...] = ()) -> tuple[Form, FieldInfo | None]:
    field: FieldInfo | None = None
    while get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        for extra in extras:
            if isinstance(extra, FieldInfo):
                field = extra
                metadata = (*metadata, *extra.metadata)
            elif extra is not Incidental:
                metadata = (*metadata, extra)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Use, Trained):
        kind = "" if arguments[0] is Any else kind_of(arguments[0])
        if kind is None or (kind == "" and origin is Use):
            raise BrokenComponent(f"{origin.__name__}[{arguments[0]}] names no kind's base class")
        return (UseForm(kind) if origin is Use else TrainedForm((kind,) if kind else ())), field
    if hint in (Use, Trained):
        raise BrokenComponent(f"write which kind: {hint.__name__}[Loss]")
    if hint is Scheduled:
        return ScheduledForm(metadata), field
    if isinstance(hint, type) and issubclass(hint, Group):
        return GroupForm(hint), field
    if origin in (Union, types.UnionType) and _mentions_component(hint):
        members = [member for member in arguments if member is not type(None)]
        forms = tuple(_form(member, metadata)[0] for member in members)
        none = type(None) in arguments
        trained = [form for form in forms if isinstance(form, TrainedForm) and form.kinds]
        if len(trained) > 1:  # one name that may stand for either: what the stage gives decides
            either = TrainedForm(tuple(kind for form in trained for kind in form.kinds))
            forms = (either, *(form for form in forms if form not in trained))
        if trained and (files := next((form for form in forms if isinstance(form, Leaf) and form.hint is Path), None)):
            # A path may be a stage's folder or another: what lies in it decides.
            forms = tuple(
                TrainedForm(form.kinds, files=True) if isinstance(form, TrainedForm) else form
                for form in forms
                if form is not files
            )
        if len(forms) == 1 and not none:
            return forms[0], field
        return (OneOf(forms, none)), field
    if origin in (list, Sequence, typing.Sequence) and _mentions_component(hint):
        return ListOf((_form(arguments[0])[0],)), field
    if origin is tuple and _mentions_component(hint):
        return ListOf(tuple(_form(item, metadata)[0] for item in arguments), fixed=True), field
    if origin in (dict, Mapping) and _mentions_component(hint):
        return MapOf(_form(arguments[1])[0]), field
    leaf = Leaf(hint, metadata)
    try:
        leaf.adapter  # noqa: B018
    except (PydanticUserError, TypeError) as error:
        why = "its bounds do not fit its type" if isinstance(error, TypeError) else "no value of a spec is of its type"
        raise BrokenComponent(
            f"{why}, {_hint_name(hint)}; use Python's own types, Use, Trained or Scheduled"
        ) from error
    return leaf, field


def _mentions_component(hint: Any) -> bool:
    if hint is Scheduled or get_origin(hint) in (Use, Trained) or (isinstance(hint, type) and issubclass(hint, Group)):
        return True
    return any(_mentions_component(inner) for inner in get_args(hint))


def bounds(form: Form) -> str:
    """`` > 0``, `` in [0, 1]``: the bounds of a number, as text."""
    metadata = getattr(form, "metadata", ())
    said = []
    for item in metadata:
        for attribute, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="), ("multiple_of", "a multiple of")):
            value = getattr(item, attribute, None)
            if value is not None:
                said.append(f"{sign} {value:g}" if isinstance(value, int | float) else f"{sign} {value}")
    return f" ({', '.join(said)})" if said else ""


def _hint_name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return alternatives(["nothing" if a is type(None) else _hint_name(a) for a in arguments])
    if origin is Annotated:
        return _hint_name(arguments[0]) + bounds(Leaf(arguments[0], tuple(_unpacked(arguments[1:]))))
    if origin in (list, Sequence):
        name = _hint_name(arguments[0])
        return f"list of {name + 's' if name.endswith(('number', 'path')) else name}"
    if origin is tuple:
        return f"[{', '.join('...' if a is Ellipsis else _hint_name(a) for a in arguments)}]"
    if origin is dict:
        return f"mapping of names to {_hint_name(arguments[1])}"
    names = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "true or false",
        Path: "path",
        type(None): "nothing",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def alternatives(words: Sequence[str]) -> str:
    """``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _plural(form: Form) -> str:
    return KINDS[form.kind].plural if isinstance(form, UseForm) else form.describe()


def _unpacked(extras: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for extra in extras:
        found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return found
