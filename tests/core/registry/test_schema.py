"""What each type of an option becomes in the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel, Field

from ganvas import Encoder, Loss, Regularizer, Scheduled, Trained, Use
from ganvas.kinds.options import Group
from ganvas.registry.plugins import Host
from ganvas.registry.schema import Schemas, spec_name
from ganvas.registry.signature import options_of


class Pair(Group):
    """Two numbers."""

    def __init__(self, *, first: Annotated[int, Field(ge=1, description="one")], second: float = 2.0) -> None: ...


class Point(BaseModel):
    x: int


class Options:
    def __init__(
        self,
        *,
        whole: Annotated[int, Field(ge=1, lt=9, description="a count")] = 3,
        optional: Annotated[int | None, Field(ge=2)] = None,
        choice: Literal["a", "b"] = "a",
        optional_choice: Literal["a", "b"] | None = None,
        size: int | tuple[int, int] | None = None,
        pair: tuple[Annotated[float, Field(ge=0)], float] = (0.0, 1.0),
        path: Path | None = None,
        names: list[str] | None = None,
        rate: Annotated[Scheduled, Field(ge=0)] = 0.5,
        loss: Use[Loss] = "hinge",
        terms: list[Use[Regularizer]] = (),
        trained: Trained[Encoder] | None = None,
        named: Use[Loss] | dict[str, Use[Loss]] | None = None,
        moving: Scheduled | Pair | None = None,
        model: Point | None = None,
    ) -> None: ...


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas(Host(), {})


def schema_of(schemas: Schemas, name: str, **options: Any) -> dict[str, Any]:
    return schemas.option(options_of(Options)[name], **options)


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("whole", {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "description": "a count", "default": 3}),
        ("optional", {"type": ["integer", "null"], "minimum": 2}),
        ("choice", {"type": "string", "enum": ["a", "b"], "default": "a"}),
        ("optional_choice", {"enum": ["a", "b", None]}),
        (
            "size",
            {
                "type": ["integer", "array", "null"],
                "items": [{"type": "integer"}, {"type": "integer"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (
            "pair",
            {
                "type": "array",
                "items": [{"type": "number", "minimum": 0}, {"type": "number"}],
                "minItems": 2,
                "maxItems": 2,
                "default": [0.0, 1.0],
            },
        ),
        ("path", {"type": ["string", "null"], "format": "path"}),
        ("names", {"type": ["array", "null"], "items": {"type": "string"}}),
        (
            "rate",
            {
                "type": ["number", "object"],
                "minimum": 0,
                "if": {"type": "object"},
                "then": {"$ref": "#/definitions/schedule~1minimum-0"},
                "default": 0.5,
            },
        ),
        ("loss", {"allOf": [{"$ref": "#/definitions/loss"}], "default": "hinge"}),
        ("terms", {"type": "array", "items": {"$ref": "#/definitions/regularizer"}, "default": []}),
        ("trained", {"type": ["null", "string"], "pattern": r"^([A-Za-z0-9][A-Za-z0-9._-]*|.*[/~$].*)$"}),
    ],
)
def test_what_an_option_becomes(schemas: Schemas, name: str, schema: dict[str, Any]) -> None:
    assert schema_of(schemas, name) == schema


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("named", None, []),
        ("named", "hinge", []),
        ("named", {"use": "hinge", "margin": 2}, []),
        ("named", {"one": "hinge", "two": {"use": "hinge"}}, []),
        ("named", 3, ["3 is not of type 'null', 'object', 'string'"]),
        ("named", {"use": "hinge", "margn": 2}, ["Additional properties are not allowed ('margn' was unexpected)"]),
        ("named", {"one": {"use": "hinge", "margin": 0}}, ["0 is less than or equal to the minimum of 0"]),
        ("named", {"margin": 2}, ["'use' is a required property"]),
        ("moving", 3, []),
        ("moving", {"from": 1, "to": 2}, []),
        ("moving", {"first": 1}, []),
        ("moving", {"first": 0}, ["0 is less than the minimum of 1"]),
        ("moving", {"second": 1}, ["'first' is a required property"]),
        ("moving", {"from": 1}, ["'to' is a required property"]),
        ("rate", {"value": 5, "first": [25, 100]}, []),
        ("rate", {"value": 5, "first": [25, -100]}, ["-100 is less than the minimum of 0"]),
        ("rate", {"from": 1, "to": 0.1, "shape": "exponential"}, []),
        ("rate", {"from": 1, "to": 0, "shape": "exponential"}, ["0 is less than or equal to the minimum of 0"]),
        ("rate", -1, ["-1 is less than the minimum of 0"]),
        ("trained", "runs/old/features", []),
        ("trained", "features.encoder", []),
        ("trained", "two words", ["'two words' does not match '^([A-Za-z0-9][A-Za-z0-9._-]*|.*[/~$].*)$'"]),
        ("model", {"x": 1}, []),
        ("optional_choice", "c", ["'c' is not one of ['a', 'b', None]"]),
    ],
)
def test_what_is_accepted(schemas: Schemas, name: str, value: Any, said: list[str]) -> None:
    validator = Draft7Validator({**schema_of(schemas, name), "definitions": schemas.definitions})
    assert [error.message for error in validator.iter_errors(value)] == said


def test_a_change_needs_not_everything(schemas: Schemas) -> None:
    for name, value in (("moving", {"second": 1}), ("named", {"margin": 2}), ("rate", {"to": 0})):
        whole = {**schema_of(schemas, name), "definitions": schemas.definitions}
        changed = {**schema_of(schemas, name, changed=True), "definitions": schemas.definitions}
        assert not Draft7Validator(whole).is_valid(value)
        assert Draft7Validator(changed).is_valid(value)


def test_a_component_that_cannot_be_used_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "registry.yaml").write_text("components: {loss: {gone: ./gone.py:Gone}}")
    schemas = Schemas(Host(tmp_path), {})
    schemas.component("loss")
    assert "gone" not in schemas.definitions["loss"]["examples"]
    assert "hinge" in schemas.definitions["loss"]["examples"]


def test_the_name_in_a_spec(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "registry.yaml").write_text("components: {loss: {hinge: ./mine.py:Mine, other: ./mine.py:Other}}")
    host = Host(tmp_path)
    names = [spec_name(host, entry) for entry in host.entries("loss")]
    assert {"ganvas/hinge", "mine/hinge", "other", "wasserstein"} <= set(names)
    assert "hinge" not in names
