"""The JSON schema of components, for editors: every installed one, recursively. Only constructs of draft 7.

Where a value may be one of several things, ``if`` and ``then`` choose by what it looks like (``use: hinge`` takes the
options of ``hinge``) instead of ``anyOf``: an editor offers what fits, and a mistake is one message about itself.

Everything is there twice. In a spec by itself a component is complete: it has its name and every option that must be
given. In one that ``extends`` another, both may stand there instead; these definitions begin with ``changed/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from ganvas.kinds import KINDS
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.plugins import Entry, Host
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
    options_of,
)

__all__ = ["Schemas", "spec_name"]

Schema = dict[str, Any]
COUNT: Schema = {"type": "integer", "minimum": 1}
SHARE: Schema = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
# A stage, stage.part, or the path of a finished stage's folder.
TRAINED = r"^([A-Za-z0-9][A-Za-z0-9._-]*|.*[/~$].*)$"
NULL: Schema = {"type": "null"}


def spec_name(host: Host, entry: Entry) -> str:
    """What a spec calls a component: its name, with its plugin's where two plugins have the name."""
    alike = [other for other in host.entries(entry.kind) if other.name == entry.name]
    return entry.name if len(alike) == 1 else f"{entry.plugin}/{entry.name}"


class Schemas:
    """Definitions of all components of a host, as they are asked for and as they ask for one another.

    Args:
        host: finds the components; those that cannot be used are left out.
        extra: further options of every component of a kind (what the engine adds to those of an algorithm). Such a
            component is always a mapping.

    Attributes:
        definitions: by ``kind``, ``kind/name``, and the same behind ``changed/``.
    """

    def __init__(self, host: Host, extra: Mapping[str, Callable[[type], Mapping[str, Option]]]) -> None:
        self.host = host
        self.extra = extra
        self.definitions: dict[str, Schema] = {}
        self._components: dict[str, dict[str, dict[str, Option]]] = {}

    # -- components ------------------------------------------------------------------------------------------------

    def component(self, kind: str, *, changed: bool = False) -> Schema:
        """A reference to the schema of a kind's components."""
        name = f"changed/{kind}" if changed else kind
        if name not in self.definitions:
            self.definitions[name] = {}  # a component inside itself refers to what is about to be written
            self.definitions[name] = self._kind(kind, changed)
        return _reference(name)

    def union(self, kind: str, *, changed: bool = False) -> dict[str, Schema]:
        """The options of all components of a kind, for where the component's name is not known."""
        found: dict[str, list[Schema]] = {}
        for options in self._options(kind).values():
            for option in options.values():
                schema = self.form(option.form, changed=changed)
                if schema not in found.setdefault(option.name, []):
                    found[option.name].append(schema)
        return {name: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for name, schemas in found.items()}

    def _kind(self, kind: str, changed: bool) -> Schema:
        entries = {spec_name(self.host, entry): entry for entry in self.host.entries(kind)}
        entries = {name: entry for name, entry in entries.items() if name in self._options(kind)}
        chosen: Schema = {"properties": {"use": _name_of(entries) | {"description": f"which {kind}"}}}
        chosen["allOf"] = [
            {"if": _uses(entry, name), "then": self._one(kind, name, entry, changed)} for name, entry in entries.items()
        ]
        if changed:
            unnamed = {"properties": {"use": {}} | self.union(kind, changed=True), "additionalProperties": False}
            chosen |= {"if": {"required": ["use"]}, "else": unnamed}
        else:
            chosen["required"] = ["use"]
        said = {"title": kind, "description": f"{kind}: {KINDS[kind].summary}"}
        if kind in self.extra:
            return said | {"type": "object"} | chosen
        bare = _name_of({name: entries[name] for name in self._bare(kind, changed)})
        return said | {
            "type": ["string", "object"],
            "examples": bare["examples"],
            "if": {"type": "object"},
            "then": chosen,
            "else": {"if": {"type": "string"}, "then": bare},
        }

    def _bare(self, kind: str, changed: bool) -> list[str]:
        """The names that can stand without options."""
        every = self._options(kind).items()
        return [name for name, options in every if changed or not any(o.required for o in options.values())]

    def _one(self, kind: str, name: str, entry: Entry, changed: bool) -> Schema:
        """A reference to the options of one component."""
        key = f"changed/{kind}/{name}" if changed else f"{kind}/{name}"
        if key not in self.definitions:
            self.definitions[key] = {}
            schema = self.options(self._options(kind)[name], self.host.summary(entry), changed=changed, use=True)
            self.definitions[key] = {"title": f"{kind}/{name}", **schema}
        return _reference(key)

    def _options(self, kind: str) -> dict[str, dict[str, Option]]:
        """Name -> options of the components of a kind that can be used."""
        if kind not in self._components:
            found = self._components[kind] = {}
            for entry in self.host.entries(kind):
                try:
                    component = self.host.resolve(entry)
                    further = self.extra[kind](component) if kind in self.extra else {}
                    found[spec_name(self.host, entry)] = {**options_of(component), **further}
                except BrokenComponent:
                    continue
        return self._components[kind]

    # -- options ---------------------------------------------------------------------------------------------------

    def options(
        self, options: Mapping[str, Option], description: str, *, changed: bool = False, use: bool = False
    ) -> Schema:
        """A mapping of options; ``use`` allows the component's name beside them."""
        properties = {"use": {}} if use else {}
        properties |= {option.name: self.option(option, changed=changed) for option in options.values()}
        required = [option.name for option in options.values() if option.required and not changed]
        schema: Schema = {"type": "object", "description": description, "properties": properties}
        return schema | {"additionalProperties": False} | ({"required": required} if required else {})

    def option(self, option: Option, *, changed: bool = False) -> Schema:
        """One option's value, with its description and default."""
        schema = self.form(option.form, changed=changed)
        schema = {"allOf": [schema]} if "$ref" in schema else schema  # draft 7 sees nothing beside a $ref
        if option.description:
            schema = {**schema, "description": option.description}
        default = option.json()["default"]
        return schema if default is None else {**schema, "default": default}

    def form(self, form: Form, *, changed: bool = False) -> Schema:
        """The schema of a form. What stands in a list is complete also in a spec that changes another."""
        match form:
            case Leaf():
                schema = form.adapter.json_schema(ref_template="#/definitions/{model}")
                self.definitions |= _draft_7(schema.pop("$defs", {}))
                return _draft_7(schema)
            case ScheduledForm():
                number = _draft_7(form.adapter.json_schema())
                schedule = self._schedule(number, changed)
                return number | {"type": ["number", "object"], "if": {"type": "object"}, "then": schedule}
            case UseForm(kind=kind):
                return self.component(kind, changed=changed)
            case TrainedForm():
                return {"type": "string", "pattern": TRAINED}
            case GroupForm(group=group):
                return self.options(options_of(group), (group.__doc__ or "").partition("\n")[0], changed=changed)
            case ListOf(items=items, fixed=True):
                return _tuple([self.form(item) for item in items])
            case ListOf(items=items):
                return {"type": "array", "items": self.form(items[0])}
            case MapOf(item=item):
                return {"type": "object", "additionalProperties": self.form(item, changed=changed)}
            case OneOf(forms=forms, none=none):
                return self._one_of(forms, none, changed)
        raise AssertionError(form)

    def _one_of(self, forms: Sequence[Form], none: bool, changed: bool) -> Schema:
        """The first form that the value looks like decides."""
        forms = sorted(forms, key=lambda form: _ASKED.index(type(form)) if type(form) in _ASKED else -1)
        schemas = [self.form(form, changed=changed) for form in forms]
        # A text may be a component's name or a stage's: only the whole spec tells.
        texts = {"string"} if any(isinstance(form, TrainedForm) for form in forms) else set()
        outlines = [
            set(self._types(schema)) - (texts if isinstance(form, UseForm) else set())
            for form, schema in zip(forms, schemas, strict=True)
        ]
        types = sorted(set().union(*outlines, {"null"} if none else set()))
        if len(forms) == 1 and "enum" not in schemas[0] and "type" in schemas[0]:
            return schemas[0] | {"type": types}
        found: Schema = {}
        later: set[str] = set()
        for form, schema, outline in reversed(list(zip(forms, schemas, outlines, strict=True))):
            # A mapping that changes another one may look like anything.
            if (later & outline) - (set() if changed else {"object"}):
                return {"anyOf": [*schemas, *([NULL] if none else [])]}
            guard: Schema = {"type": sorted(outline)}
            if "object" in later & outline:
                guard |= {"if": {"type": "object"}, "then": _outline(form)}
            found = {"if": guard, "then": schema} | ({"else": found} if found else {})
            later |= outline
        offered = [name for form in forms if isinstance(form, UseForm) for name in self._bare(form.kind, changed)]
        return {"type": types} | ({"examples": offered} if offered else {}) | found

    def _types(self, schema: Schema) -> list[str]:
        """The JSON types that a schema of ours allows."""
        if "$ref" in schema:  # a kind that is still being written may be either
            name = unquote(schema["$ref"].removeprefix("#/definitions/")).replace("~1", "/").replace("~0", "~")
            return self._types(self.definitions[name] or {"type": ["object", "string"]})
        if "anyOf" in schema:
            return sorted({name for inner in schema["anyOf"] for name in self._types(inner)})
        if "type" not in schema:
            return sorted({_TYPE[type(value)] for value in schema["enum"]})
        return [schema["type"]] if isinstance(schema["type"], str) else schema["type"]

    def _schedule(self, number: Schema, changed: bool) -> Schema:
        """A reference to the schema of a number that changes while training."""
        name = "/".join(
            [
                *(["changed"] if changed else []),
                "schedule",
                *(f"{word}-{value}" for word, value in number.items() if word != "type"),
            ]
        )
        pair = _tuple([COUNT, number])
        positive = number | {"exclusiveMinimum": 0}
        stepped = ("value", "first", "every", "warm_up", "over")
        moving = ("from", "to", "shape", "over", "hold", "warm_up", "first", "every")
        schedule: Schema = {
            "title": "schedule",
            "description": "A number that changes while training.",
            "properties": {
                "from": number | {"description": "the first value"},
                "to": number | {"description": "the last value"},
                "shape": {"enum": ["linear", "cosine", "exponential"], "default": "linear"},
                "over": {
                    "description": "the span of the change, {images: N} or {iterations: N}; the whole stage",
                    "type": ["string", "object"],
                    "if": {"type": "string"},
                    "then": {"enum": ["images", "iterations"]},
                    "else": {
                        "properties": {"images": COUNT, "iterations": COUNT},
                        "additionalProperties": False,
                        "minProperties": 1,
                        "maxProperties": 1,
                    },
                },
                "hold": SHARE | {"description": "share of the span that keeps the first value"},
                "warm_up": SHARE | {"description": "share of the span that rises from zero"},
                "value": number | {"description": "the value outside the spans of first and every"},
                "first": pair | {"description": "[iterations, value]: another value in the first iterations"},
                "every": pair | {"description": "[iterations, value]: another value in every n-th iteration"},
            },
            "allOf": [
                {
                    "if": {"required": ["shape"], "properties": {"shape": {"const": "exponential"}}},
                    "then": {"properties": {"from": positive, "to": positive}},
                }
            ],
        }
        whole = {
            "if": {"required": ["value"]},
            "then": {"propertyNames": {"enum": list(stepped)}},
            "else": {"propertyNames": {"enum": list(moving)}, "required": ["from", "to"]},
        }
        self.definitions[name] = schedule | ({"additionalProperties": False} if changed else whole)
        return _reference(name)


_TYPE = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
# Forms that a mapping may have, in the order in which a mapping is asked whether it looks like one.
_ASKED: list[type[Form]] = [ScheduledForm, MapOf, UseForm, GroupForm]


def _outline(form: Form) -> Schema:
    """What a mapping of this form looks like, where it may be one of another form too."""
    match form:
        case ScheduledForm():
            return {"anyOf": [{"required": [name]} for name in ("from", "to", "value")]}
        case MapOf(item=UseForm()):  # options of a component whose name is missing are no names of components
            named = {"type": ["string", "object"]}
            return {"not": {"required": ["use"]}, "minProperties": 1, "additionalProperties": named}
        case UseForm():
            return {"required": ["use"]}
    return {}


def _name_of(entries: Mapping[str, Entry]) -> Schema:
    """A component's name, or ``plugin/name``. Most editors offer what stands in ``examples``."""
    known = _unique(f"{entry.plugin}/{entry.name}" for entry in entries.values())
    with_plugin = {"type": "string", "pattern": "/"}
    return {"examples": list(entries), "if": with_plugin, "then": {"enum": known}, "else": {"enum": list(entries)}}


def _uses(entry: Entry, name: str) -> Schema:
    """What a mapping of one component looks like. A pattern: an editor takes the start of an enum's word for it."""
    # Not re.escape: what it does to a hyphen is no regular expression of JavaScript, whose the schema's are.
    plugin, own = (re.sub(r"[.^$*+?()[\]{}|\\]", r"\\\g<0>", word) for word in (entry.plugin, entry.name))
    known = f"{plugin}/{own}" if "/" in name else f"({plugin}/)?{own}"
    return {"type": "object", "required": ["use"], "properties": {"use": {"type": "string", "pattern": f"^{known}$"}}}


def _reference(name: str) -> Schema:
    return {"$ref": "#/definitions/" + quote(name.replace("~", "~0").replace("/", "~1"), safe="~")}


def _tuple(parts: list[Schema]) -> Schema:
    return {"type": "array", "items": parts, "minItems": len(parts), "maxItems": len(parts)}


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _draft_7(schema: Any) -> Any:
    """What pydantic writes, in the words of draft 7, and alternatives of different types as one list of types."""
    if isinstance(schema, list):
        return [_draft_7(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _draft_7(inner) for name, inner in schema.items()}
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    if set(found) == {"anyOf"}:
        return _merged(found["anyOf"])
    return found


def _merged(parts: list[Schema]) -> Schema:
    """Alternatives of different types as one schema, which gives one message; ``anyOf`` where that cannot be."""
    types = [part.get("type") for part in parts]
    keys = [key for part in parts for key in part if key != "type"]
    if not all(isinstance(name, str) for name in types) or len(set(types)) < len(types) or len(set(keys)) < len(keys):
        return {"anyOf": parts}
    if "enum" in keys or "const" in keys:
        chosen = next(part for part in parts if "enum" in part or "const" in part)
        if any(part not in (chosen, NULL) for part in parts):
            return {"anyOf": parts}
        return {"enum": [*chosen.get("enum", [chosen.get("const")]), *([None] if NULL in parts else [])]}
    return {key: value for part in parts for key, value in part.items()} | {"type": types}
