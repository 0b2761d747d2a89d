"""The JSON schema of a whole spec."""

from __future__ import annotations

from typing import Any

from ganvas.registry.plugins import Host
from ganvas.registry.schema import Schemas
from ganvas.registry.signature import options_of
from ganvas.spec.stage import NAME, ExperimentSettings, settings_of

__all__ = ["spec_schema"]

_NAMED = {"type": ["string", "object"]}
_EXTENDS = {"type": "string", "minLength": 1, "description": "the spec that this one changes: a path, or quickstart"}


def spec_schema(host: Host) -> dict[str, Any]:
    """A draft 7 schema of specs with all components of a host."""
    schemas = Schemas(host, {"algorithm": settings_of})
    definitions = {
        "spec": _spec(schemas, changed=False) | _DATASET,
        "changed/spec": _spec(schemas, changed=True),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ganvas spec",
        "description": "A ganvas experiment.",
        "properties": {"extends": _EXTENDS},
        "if": {"required": ["extends"], "type": "object"},
        "then": {"$ref": "#/definitions/changed~1spec"},
        "else": {"$ref": "#/definitions/spec"},
        "definitions": definitions | schemas.definitions,
    }


# Where the spec names no dataset, each stage does.
_DATASET: dict[str, Any] = {
    "if": {"required": ["dataset"], "properties": {"dataset": _NAMED}},
    "else": {
        "properties": {"stages": {"additionalProperties": {"required": ["dataset"], "properties": {"dataset": _NAMED}}}}
    },
}


def _spec(schemas: Schemas, *, changed: bool) -> dict[str, Any]:
    top = schemas.options(options_of(ExperimentSettings), "A ganvas experiment.", changed=changed)
    if changed:
        top["properties"]["extends"] = {}  # described at the top
    else:
        top["required"] = ["stages"]
    top["properties"]["stages"] = {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": schemas.component("algorithm", changed=changed),
        "minProperties": 0 if changed else 1,
        "description": "training jobs by name; a later one may use what an earlier one trained",
    }
    top["properties"]["sweep"] = _sweep(schemas)
    return top


def _sweep(schemas: Schemas) -> dict[str, Any]:
    """``path: [values]`` or ``label: {path: value}``; the values of the options of a stage are looked at."""
    values = {
        **{name: schemas.option(option) for name, option in options_of(ExperimentSettings).items()},
        **{rf"stages\.[^.]+\.{name}": schema for name, schema in schemas.union("algorithm").items()},
    }
    values = {f"^{path}$": schema for path, schema in values.items()}
    settings = {"propertyNames": _PATH, "patternProperties": values}
    each = {"type": ["array", "object"], "minItems": 1, "if": {"type": "object"}, "then": settings}
    return {
        "description": "every combination is trained: path -> list of values, or label -> {path: value, …}",
        "type": "object",
        "propertyNames": _PATH,
        "patternProperties": {path: {"items": schema} for path, schema in values.items()},
        "allOf": [{"additionalProperties": each}],  # on its own, so that it speaks of all of them
    }


_PATH = {"pattern": r"[^.]"}
