"""``ganvas show``: a component, or a kind of them, as a page of plain text."""

from __future__ import annotations

import functools
import inspect
import json
import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from ganvas.kinds import KINDS, Kind, placed
from ganvas.registry.bases import BrokenComponent, contract_of, kind_of
from ganvas.registry.documents import did_you_mean, parse
from ganvas.registry.plugins import Entry, Host
from ganvas.registry.schema import spec_name
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
    options_of,
    where,
)
from ganvas.spec.source import load_source, quickstart, split_path

__all__ = ["fragment", "page"]

WIDTH = 100


def page(name: str) -> str:
    """The page of ``kind/name``, of a ``name`` that only one kind has, or of a ``kind``. Raises ``BrokenComponent``."""
    host = Host(Path.cwd())
    if name in KINDS:
        return _kind_page(host, KINDS[name])
    kind, slash, short = name.partition("/")
    if kind in KINDS:
        return _component_page(host, kind, short)
    short = name.rpartition("/")[2]
    plugin = name.rpartition("/")[0]
    kinds = [e.kind for e in host.entries() if e.name == short and plugin in ("", e.plugin)]
    kinds = list(dict.fromkeys(kinds))
    if len(kinds) == 1:
        return _component_page(host, kinds[0], name)
    if kinds:
        choices = alternatives([f"{kind}/{name}" for kind in kinds])
        raise BrokenComponent(f"{len(kinds)} kinds have a {name!r}; write {choices}")
    if slash and kind not in {record.name for record in host.plugins}:
        raise BrokenComponent(f"there is no kind {kind!r}{did_you_mean(kind, list(KINDS))}")
    known = [*KINDS, *{entry.name for entry in host.entries()}]
    raise BrokenComponent(
        f"no component and no kind is called {name!r}{did_you_mean(short, known)}; `ganvas list` shows all"
    )


# -- a component -------------------------------------------------------------------------------------------------------


def _component_page(host: Host, kind: str, name: str) -> str:
    entry = host.find(kind, name)
    component = host.resolve(entry)
    options = options_of(component)
    lines = [f"{kind}/{name}", "", *wrapped(inspect.getdoc(component) or "(no description)", WIDTH)]
    lines += _section("Options" if options else "Options: none", (_option(option) for option in options.values()))
    lines += _section("Needs and gives", _facts(component, contract_of(kind)))
    lines += _in_use(host, entry, name)
    lines += ["", f"Plugin: {_owner(host, entry)}", f"File: {where(component)}"]
    return "\n".join(lines) + "\n"


def _section(title: str, entries: Iterable[tuple[str, str]]) -> list[str]:
    """A title and entries, each a line with an explanation below it; nothing where there is nothing to tell."""
    lines: list[str] = []
    for head, explanation in entries:
        lines += textwrap.wrap(head, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        lines += [f"      {line}".rstrip() for line in wrapped(explanation, WIDTH - 6)]
    return ["", title, *lines] if lines or title.endswith("none") else []


def _option(option: Option) -> tuple[str, str]:
    told = option.json()
    kind = option.form.kind if isinstance(option.form, UseForm) else None
    hint = told["type"] if kind is None else f"a component of the kind {kind}"
    if option.required:
        default = "required"
    else:  # left out, None is no value that could be written
        default = "optional" if option.default is None else f"default {in_line(told['default'])}"
    return f"{option.name}: {hint}, {default}", option.description


def _facts(component: type, contract: type) -> Iterable[tuple[str, str]]:
    """The attributes that the contract documents, where the class itself says what they are."""
    for name, explanation in _documented(contract).items():
        value = inspect.getattr_static(component, name, None)
        if isinstance(value, Mapping | tuple | list | str | bool):
            said = value
        elif isinstance(value, set | frozenset):
            said = tuple(sorted(value))
        else:
            continue  # a property, or known only when it is built
        if said:
            yield f"{name}: {_fact(said)}", explanation


def _fact(value: Any) -> str:
    match value:
        case Mapping() if all(isinstance(inner, type) for inner in value.values()):
            return ", ".join(f"{name} ({kind_of(inner) or inner.__name__})" for name, inner in value.items())
        case tuple() | list() if all(isinstance(inner, str) for inner in value):
            return ", ".join(value)
    return in_line(value)


def _documented(contract: type) -> dict[str, str]:
    """Name -> explanation, from the ``Attributes:`` of a class's docstring."""
    found: dict[str, str] = {}
    _, _, text = (inspect.getdoc(contract) or "").partition("\nAttributes:\n")
    name = ""
    for line in textwrap.dedent(text).splitlines():
        if (match := re.fullmatch(r"(\w+): (.*)", line)) is not None:
            name = match[1]
            found[name] = match[2]
        elif line.startswith(" ") and name:
            found[name] += f" {line.strip()}"
        elif line:
            break  # another section
    return found


def _owner(host: Host, entry: Entry) -> str:
    """The plugin with its version, as far as it has one."""
    record = next(record for record in host.plugins if record.name == entry.plugin)
    package = entry.source.partition(":")[0].partition(".")[0]
    distributions = packages_distributions().get(package) if record.version is None else None
    number = record.version or (version(distributions[0]) if distributions else "")
    return f"{record.name} {number}".rstrip()


# -- a kind ------------------------------------------------------------------------------------------------------------


def _kind_page(host: Host, kind: Kind) -> str:
    contract = contract_of(kind.name)
    public = {name: thing for name, thing in vars(contract).items() if _signature(name, thing)}
    needed = [name for name, thing in public.items() if getattr(thing, "__isabstractmethod__", False)]
    optional = [name for name, thing in public.items() if name not in needed and name[0] != "_" and _about(thing)]
    lines = [f"{kind.name}: {kind.summary}", "", *wrapped(inspect.getdoc(contract) or "", WIDTH)]
    given = ", ".join(kind.given) or "nothing"
    lines += ["", f"The engine gives __init__: {given}. Keyword-only arguments are the component's options."]
    inherited = [_option(option) for option in options_of(contract).values()]
    lines += _section("Options of every one that passes **options on", inherited)
    lines += _section("Must offer", [(_signature(name, public[name]), _about(public[name])) for name in needed])
    lines += _section("May offer", [(_signature(name, public[name]), _about(public[name])) for name in optional])
    entries = host.entries(kind.name)
    if entries:
        chosen = next((entry for entry in entries if entry.name == _usual(kind.name)), entries[0])
        lines += [*_in_use(host, chosen, spec_name(host, chosen)), "", kind.plural.capitalize()]
    widest = max((len(spec_name(host, entry)) for entry in entries), default=0)
    for entry in entries:
        head = f"  {spec_name(host, entry):<{widest}}  "
        lines += textwrap.wrap(
            host.summary(entry) or "-", WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
        )
    others = [other.kind for other in host.entries() if other.name == kind.name]
    if others:
        names = alternatives([f"`ganvas show {other}/{kind.name}`" for other in dict.fromkeys(others)])
        lines += ["", f"It is also a name: see {names}."]
    lines += ["", f"Base class: ganvas.{contract.__name__}", f"File: {where(contract)}"]
    lines += [f"`ganvas new {kind.name} NAME` writes one of your own."]
    return "\n".join(lines) + "\n"


def _signature(name: str, thing: Any) -> str:
    """``name(arguments) -> type`` of a method or property; empty for what is neither."""
    if isinstance(thing, property):
        hint = inspect.signature(thing.fget).return_annotation if thing.fget else inspect.Signature.empty
        return name if hint is inspect.Signature.empty else f"{name} -> {hint}"
    function = getattr(thing, "__func__", thing)
    if not inspect.isfunction(function):
        return ""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    # Annotations are texts where a module postpones them: shown without the quotes that str() puts around texts.
    return f"{name}{signature.replace(parameters=parameters)}".replace("'", "")


def _about(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


# -- a fragment of a spec that runs ------------------------------------------------------------------------------------


def fragment(host: Host, entry: Entry, name: str) -> str:
    """YAML that, over the quickstart, uses a component with its options written out; empty where no spec names one."""
    example = getattr(host.resolve(entry), "example", None)
    tree = nested(placed(entry.kind, _written_out(host, entry, name), example))
    return in_block(tree) if tree else ""


def _in_use(host: Host, entry: Entry, name: str) -> list[str]:
    if text := fragment(host, entry, name):
        return ["", "In a spec", "", *textwrap.indent(f"extends: quickstart\n{text}", "  ").splitlines()]
    command = f"ganvas sample runs/quickstart --{entry.kind} {shlex.quote(in_line(_written_out(host, entry, name)))}"
    # A long one is broken between its quotes, where shells and YAML take a new line for a space.
    lines = textwrap.wrap(command, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    return ["", "Once a stage is trained", "", *lines]


def _written_out(host: Host, entry: Entry, name: str) -> Any:
    """The component as it would stand in a spec, with its own options; those of its base class are left out."""
    component = host.resolve(entry)
    options = options_of(component)
    named = inspect.signature(component.__init__).parameters
    value: dict[str, Any] = {"use": name}
    for option in options.values():
        if option.required:
            value[option.name] = _fitting(option.form, host)
        elif option.name in named and option.default is not None:
            value[option.name] = option.json()["default"]
    return value if len(value) > 1 else name


def nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides as the tree they make: ``{"a.b": 1}`` is ``{"a": {"b": 1}}``."""
    tree: dict[str, Any] = {}
    for path, value in overrides.items():
        *above, last = split_path(path)
        inner = tree
        for step in above:
            if isinstance(inner.get(step), str):  # a component's bare name, which gets an option
                inner[step] = {"use": inner[step]}
            inner = inner.setdefault(step, {})
        inner[last] = value
    return tree


def _fitting(form: Form, host: Host) -> Any:
    """A value for an option that must be given: one that works in the quickstart."""
    match form:
        case TrainedForm(kinds=kinds):
            return KINDS[next(iter(kinds), "encoder")].path.split(".")[1]  # the stage that trains what stands there
        case UseForm(kind=kind):
            return _usual(kind) or host.names(kind)[0]
        case ListOf(items=items):
            return [_fitting(item, host) for item in items]
        case MapOf(item=item):
            return {"one": _fitting(item, host)}
        case GroupForm(group=group):
            return {name: _fitting(o.form, host) for name, o in options_of(group).items() if o.required}
        case OneOf(forms=forms):
            return _fitting(forms[0], host)
        case Leaf() | ScheduledForm():
            schema = form.adapter.json_schema()
            candidates = [
                *schema.get("enum", []),
                "./images",
                1,
                0.5,
                schema.get("minimum"),
                2,
                -1,
                True,
                [1, 1],
                [],
                {},
            ]
            return next(c for c in candidates if c is not None and _accepts(form, c))
    raise AssertionError(form)


def _accepts(form: Leaf | ScheduledForm, value: Any) -> bool:
    try:
        form.adapter.validate_json(json.dumps(value), strict=True)
    except ValueError:
        return False
    return True


def _usual(kind: str) -> str | None:
    """The name of the component of a kind that the quickstart uses."""
    value: Any = load_source(quickstart())[0].plain
    for step in split_path(KINDS[kind].path):
        value = value.get(step) if isinstance(value, dict) else None
    value = value[0] if isinstance(value, list) else value
    return value.get("use") if isinstance(value, dict) else value


# -- text --------------------------------------------------------------------------------------------------------------


def in_line(value: Any) -> str:
    """A plain value as YAML in one line."""
    match value:
        case Mapping():
            return f"{{{', '.join(f'{name}: {in_line(inner)}' for name, inner in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(in_line(inner) for inner in value)}]"
        case str():
            return value if _plain(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


@functools.cache
def _plain(text: str) -> bool:
    """Whether a text needs no quotes."""
    return bool(re.fullmatch(r"[\w./~$-]+", text)) and parse(text, "", Path()).plain == text


def in_block(tree: Mapping[str, Any], indent: str = "") -> str:
    """A tree as YAML; a component without parts of its own stands in one line where it fits."""
    lines: list[str] = []
    for name, value in tree.items():
        head = f"{indent}{name}:"
        if isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
            lines += [head, *(_item(inner, f"{indent}  ") for inner in value)]
        elif isinstance(value, Mapping) and value and not _fits(value, head):
            lines += [head, in_block(value, f"{indent}  ").rstrip("\n")]
        else:
            lines.append(f"{head} {in_line(value)}")
    return "\n".join(lines) + "\n"


def _item(value: Any, indent: str) -> str:
    if isinstance(value, Mapping) and not _fits(value, f"{indent}-"):
        return f"{indent}- {in_block(value, f'{indent}  ').strip()}"
    return f"{indent}- {in_line(value)}"


def _fits(value: Mapping[str, Any], head: str) -> bool:
    parts = any(isinstance(inner, Mapping) for inner in value.values())
    return "use" in value and not parts and len(f"{head} {in_line(value)}") <= WIDTH - 2


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a docstring; those that are too long are broken, everything else keeps its layout.

    A line that its author filled flows into the next one; one that ends early (an equation, a source) ends there.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    limit = max(map(len, lines), default=0)
    found: list[str] = []
    carried = ""
    for index, line in enumerate(lines):
        indent = line[: len(line) - len(line.lstrip())]
        line = f"{indent}{carried} {line.lstrip()}" if carried else line
        following = lines[index + 1] if index + 1 < len(lines) else ""
        hanging = re.match(r"([-*]|\d+\.|\w+:) ", line.lstrip())
        deeper = indent + " " * (len(hanging[0]) if hanging and hanging[1][-1] != ":" else 0)
        pieces = textwrap.wrap(line, width, subsequent_indent=deeper, break_on_hyphens=False, break_long_words=False)
        word = following.split(maxsplit=1)[0] if following else ""
        filled = len(lines[index]) > width or len(lines[index]) + 1 + len(word) > limit
        flows = word and filled and not re.match(r"\s*([-*]|\d+\.|[A-Z]\w+:) ", following)
        # Entries of a list of attributes: what stands further left, or as far in and is named, is the next one.
        flows = flows and following.startswith(indent) and not (indent and re.match(rf"{indent}[\w, ]+: ", following))
        carried = ""
        if len(pieces) > 1 and flows:
            carried = pieces.pop().lstrip()
        found += pieces or [""]
    return found
