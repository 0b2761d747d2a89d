"""The JSON schema of a whole spec."""

from __future__ import annotations

from typing import Any

from ganvas.registry.plugins import Host
from ganvas.registry.schema import component_schemas, object_schema
from ganvas.registry.signature import options_of
from ganvas.spec.stage import ExperimentSettings, StageSettings

__all__ = ["spec_schema"]


def spec_schema(host: Host) -> dict[str, Any]:
    """A draft 7 schema of specs with all components of a host."""
    stage_options = options_of(StageSettings)
    definitions = component_schemas(host, {"algorithm": stage_options})
    # A spec may leave to the one it extends what would be required here.
    for name, schema in definitions.items():
        if name.startswith("algorithm/"):
            schema["required"] = ["use"]
    top = object_schema(options_of(ExperimentSettings), "A ganvas experiment.", definitions)
    top["properties"]["extends"] = {"type": "string", "description": "another spec that this one changes"}
    top["properties"]["stages"] = {
        "type": "object",
        "additionalProperties": {"$ref": "#/definitions/algorithm"},
        "minProperties": 1,
        "description": "training jobs by name; a later one may use what an earlier one trained",
    }
    top["properties"]["sweep"] = {
        "type": "object",
        "additionalProperties": {"type": ["array", "object"], "minItems": 1},
        "description": "path -> list of values, or label -> {path: value, …}; ganvas sweep trains every combination",
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ganvas spec",
        **top,
        "definitions": definitions,
    }
