"""The JSON schema of specs, with every installed component, for editors. Only constructs of draft 7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from ganvas.kinds import KINDS
from ganvas.registry.plugins import BrokenComponent, Host
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

__all__ = ["component_schemas", "object_schema"]

SCHEDULE = {
    "type": "object",
    "properties": {
        "from": {"type": "number"},
        "to": {"type": "number"},
        "shape": {"enum": ["linear", "cosine", "exponential"]},
        "over": {
            "oneOf": [
                {"enum": ["images", "iterations"]},
                {
                    "type": "object",
                    "properties": {unit: {"type": "integer", "minimum": 1} for unit in ("images", "iterations")},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        },
        "hold": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "warm_up": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "value": {"type": "number"},
        "first": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "every": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    },
    "additionalProperties": False,
    "description": "A number that changes while training.",
}


def component_schemas(host: Host, extra: Mapping[str, Mapping[str, Option]]) -> dict[str, Any]:
    """Definitions by kind and by ``kind/name``; ``extra``: further options of every component of a kind."""
    definitions: dict[str, Any] = {"schedule": SCHEDULE}
    for kind in KINDS:
        choices: list[Any] = []
        names: list[str] = []
        for entry in host.entries(kind):
            try:
                options = options_of(host.resolve(entry))
            except BrokenComponent:
                continue
            names.append(entry.name)
            definitions[f"{kind}/{entry.name}"] = object_schema(
                {**options, **extra.get(kind, {})}, host.summary(entry), definitions, use=entry.name
            )
            choices.append({"$ref": _pointer(f"{kind}/{entry.name}")})
        name = {"enum": sorted(set(names))}
        bare: list[Any] = [] if kind in extra else [name]
        definitions[kind] = {"anyOf": [*bare, *choices], "description": f"{kind}: {KINDS[kind].summary}"}
    return definitions


def object_schema(
    options: Mapping[str, Option], description: str, definitions: dict[str, Any], use: str | None = None
) -> dict[str, Any]:
    """A mapping of options; with ``use``, that of a component."""
    properties: dict[str, Any] = {"use": {"const": use}} if use is not None else {}
    required = ["use"] if use is not None else []
    for option in options.values():
        schema = _form(option.form, definitions)
        schema = {"allOf": [schema]} if "$ref" in schema else schema
        if option.description:
            schema = {**schema, "description": option.description}
        if option.required:
            required.append(option.name)
        elif option.default is not None and isinstance(option.default, bool | int | float | str):
            schema = {**schema, "default": to_jsonable_python(option.default)}
        properties[option.name] = schema
    found = {"type": "object", "properties": properties, "additionalProperties": False, "description": description}
    return found | ({"required": required} if required else {})


def _form(form: Form, definitions: dict[str, Any]) -> dict[str, Any]:
    match form:
        case Leaf():
            schema = form.adapter.json_schema()
            for name, inner in schema.pop("$defs", {}).items():
                definitions[name] = inner
            return schema
        case ScheduledForm():
            number = form.adapter.json_schema()
            return {"anyOf": [number, {"$ref": _pointer("schedule")}]}
        case UseForm(kind=kind):
            return {"$ref": _pointer(kind)}
        case TrainedForm():
            return {"type": "string"}
        case GroupForm(group=group):
            return object_schema(options_of(group), (group.__doc__ or "").partition("\n")[0], definitions)
        case ListOf(items=items, fixed=True):
            parts = [_form(item, definitions) for item in items]
            return {"type": "array", "items": parts, "minItems": len(parts), "maxItems": len(parts)}
        case ListOf(items=items):
            return {"type": "array", "items": _form(items[0], definitions)}
        case MapOf(item=item):
            inner = _form(item, definitions)
            # A mapping of names to components is told from one component by its lack of `use`.
            return {"type": "object", "additionalProperties": inner, "not": {"required": ["use"]}}
        case OneOf(forms=forms, none=none):
            return {"anyOf": [_form(inner, definitions) for inner in forms] + ([{"type": "null"}] if none else [])}
    raise AssertionError(form)


def _pointer(name: str) -> str:
    return "#/definitions/" + name.replace("~", "~0").replace("/", "~1")
