"""The schema of specs: what it accepts, what it rejects and how it says so, and what it cannot know."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from jsonschema import Draft7Validator

from ganvas.registry.documents import Mistakes, parse
from ganvas.registry.plugins import Host
from ganvas.spec.experiment import load_experiment
from ganvas.spec.schema import spec_schema

ROOT = Path(__file__).parents[3]
SPECS = sorted((ROOT / "experiments").rglob("*.yaml"))

# What no schema of one file can know, with the titles (or what they begin with) in bad_specs.txt.
BEYOND = {
    "JSON knows neither infinity nor NaN": ("out of range: infinity and no number",),
    "it compares two places of the spec": ("references: ", "cycle: "),
    "it compares two options of a component": ("dataset: options that go together", "dataset: a fault in one that two"),
    "it is said where the part is built": (
        "out of range: images of no pixel",
        "optimizers: a name that no update has",
        "optimizers: one that is missing",
        "ema: a network there is not",
        "ema: a stage that averages nothing",
        "sizes: ",
        "algorithm: ",
        "metric: samples of an encoder",
        "metric: of an encoder",
        "several: of two stages that cannot be built",
        "frozen: ",
    ),
    "it depends on the data": ("fields: ",),
    "it stands on the command line": ("--set: ",),
    "it stands in another file": (
        "extends: a file there is not",
        "extends: itself",
        "extends: in a circle",
        "extends: a file that is no YAML",
        "extends: a file that is a list",
    ),
}
# Of those classes, what it rejects nevertheless.
REJECTED = (
    "references: something that is no name",
    "references: a broken stage's",
    "--set: a path of dots",
    "frozen: the condition latent",
    "frozen: looking through ",
    "algorithm: a backbone's layer that does not exist",
    "algorithm: views of a pair that do not say",
)


def table() -> ModuleType:
    """The module that reads ``bad_specs.txt``, which lies beside this one."""
    import sys

    spec = importlib.util.spec_from_file_location("bad_specs", Path(__file__).parent / "test_bad_specs.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BAD = table()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return spec_schema(Host())


@pytest.fixture(scope="module")
def errors(schema: dict[str, Any]):
    """Everything that the schema says of a YAML text, as ``path: message``."""
    validator = Draft7Validator(schema)

    def of(text: str) -> list[str]:
        found = validator.iter_errors(parse(text, "spec.yaml", Path()).plain)
        return sorted(f"{error.json_path.removeprefix('$').removeprefix('.')}: {error.message}" for error in found)

    return of


@pytest.fixture(scope="module")
def check(schema: dict[str, Any], tmp_path_factory: pytest.TempPathFactory):
    """``check-jsonschema`` over files: exit status and output."""
    file = tmp_path_factory.mktemp("schema") / "schema.json"
    file.write_text(json.dumps(schema))

    def run(*files: Path) -> tuple[int, str]:
        words = ["--schemafile", str(file), *map(str, files)]
        done = CliRunner().invoke(check_jsonschema, words)
        return done.exit_code, done.output

    return run


def test_it_is_a_schema_of_draft_7_and_small(schema: dict[str, Any]) -> None:
    Draft7Validator.check_schema(schema)
    text = json.dumps(schema)
    assert len(text) < 450_000
    # Words of later drafts, which an editor for draft 7 would pass over in silence.
    for word in (
        "$defs",
        "prefixItems",
        "unevaluatedProperties",
        "dependentRequired",
        "dependentSchemas",
        "minContains",
    ):
        assert f'"{word}":' not in text
    pointers = {part["$ref"] for part in walk(schema) if "$ref" in part}
    known = {"#/definitions/" + name.replace("/", "~1") for name in schema["definitions"]}
    assert pointers == known


def walk(part: Any):
    if isinstance(part, dict):
        yield part
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from walk(inner)


def test_every_option_is_described(schema: dict[str, Any]) -> None:
    lacking = [
        f"{name}.{key}"
        for name, definition in schema["definitions"].items()
        for key, option in definition.get("properties", {}).items()
        if "/" in name and "schedule" not in name and key not in ("use", "extends") and not option.get("description")
    ]
    assert lacking == []


def test_check_jsonschema_accepts_every_spec(check) -> None:
    assert check(*SPECS) == (0, "ok -- validation done\n")


@pytest.mark.parametrize("path", SPECS, ids=[path.relative_to(ROOT / "experiments").as_posix() for path in SPECS])
def test_complete_specs_are_accepted(path: Path, schema: dict[str, Any]) -> None:
    """Every default written out, ``null`` where there is none."""
    whole = load_experiment(path).plain()
    assert [error.message for error in Draft7Validator(schema).iter_errors(whole)] == []


@pytest.mark.parametrize("case", BAD.CASES, ids=[case.title for case in BAD.CASES])
def test_bad_specs(case: Any, schema_of_the_table: Draft7Validator) -> None:
    yaml = case.title.startswith(("syntax: ", "duplicate keys: "))
    try:
        value = parse(case.files["spec.yaml"], "spec.yaml", Path()).plain
    except Mistakes:
        assert yaml, "this is no YAML"
        return
    assert not yaml
    beyond = any(case.title.startswith(titles) for titles in BEYOND.values()) and not case.title.startswith(REJECTED)
    said = [error.message for error in schema_of_the_table.iter_errors(value)]
    assert bool(said) != beyond
    assert len(said) <= len(case.said), "more than one message about one mistake"
    assert not any("is not valid under any of the given schemas" in message for message in said)


@pytest.fixture(scope="module")
def schema_of_the_table(tmp_path_factory: pytest.TempPathFactory) -> Draft7Validator:
    """With the odd components that the table's specs name."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "parts.py").write_text(BAD.PARTS)
    (folder / "registry.yaml").write_text(BAD.REGISTRY)
    return Draft7Validator(spec_schema(Host(folder)))


def test_a_mistake_is_one_message_about_itself(check, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "dataset: digits\n"
        "stages:\n"
        "  gan:\n"
        "    use: gan\n"
        "    generator: dcgan\n"
        "    discriminator: {use: global, head: {use: linear, kernal: 3}}\n"
        "    loss: {use: hinge, margn: 2}\n"
        "    optimizers: {generator: {use: adam, lr: {from: 0.1}}, discriminator: adm}\n"
        "    steps: 2\n"
    )
    status, output = check(spec)
    assert status == 1
    gan = f"  {spec}::$.stages.gan"
    head, *said = output.splitlines()
    assert head == "Schema validation errors were encountered."
    assert sorted(said) == [
        f"{gan}.discriminator.head: Additional properties are not allowed ('kernal' was unexpected)",
        f"{gan}.loss: Additional properties are not allowed ('margn' was unexpected)",
        f"{gan}.optimizers.discriminator: 'adm' is not one of ['adam', 'adamw', 'lars', 'rmsprop', 'sgd']",
        f"{gan}.optimizers.generator.lr: 'to' is a required property",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: {gan: {generator: {latent: 9}, steps: 5}, other: {use: classifier, steps: 1}}", []),
        ("stages: {gan: {loss: hinge, regularizers: [r1], optimizers: {lr: {to: 0}}}}", []),
        ("stages: {gan: {optimizers: {generator: adam, discriminator: {use: sgd}}, ema: {networks: [generator]}}}", []),
        ("stages: {features: {backbone: {weights: a.safetensors}}}", []),
        ("{}", []),
        ("stages: {gan: {generator: {latnt: 9}}}", [".generator: Additional properties are not allowed ('latnt' was"]),
        (
            "stages: {gan: {loss: {use: hinge, latent: 9}}}",
            [".loss: Additional properties are not allowed ('latent' w"],
        ),
        ("stages: {gan: {regularizers: [{weight: 3}]}}", [".regularizers[0]: 'use' is a required property"]),
        ("stages: {gan: {steps: 0}}", [".steps: 0 is less than the minimum of 1"]),
    ],
)
def test_a_spec_that_extends_another_may_leave_out_what_that_one_says(errors, text: str, said: list[str]) -> None:
    found = errors(text.replace("{}", "name: other") + "\nextends: quickstart\n")
    assert len(found) == len(said)
    for message, start in zip(found, said, strict=True):
        assert message.startswith(f"stages.gan{start}")


def test_a_spec_of_its_own_says_everything(errors) -> None:
    assert errors("stages: {gan: {use: gan, generator: {latent: 9}, steps: 1}}") == [
        "stages.gan.generator: 'use' is a required property",
        "stages.gan: 'dataset' is a required property",
        "stages.gan: 'discriminator' is a required property",
    ]


def test_a_component_by_its_plugin(errors) -> None:
    stage = (
        "dataset: ganvas/digits\nstages: {gan: {use: ganvas/gan, generator: dcgan, discriminator: global, steps: 2, "
    )
    assert errors(f"{stage}loss: {{use: ganvas/hinge, margin: 2}}}}}}") == []
    assert errors(f"{stage}loss: {{use: ganvas/hinge, margin: 0}}}}}}") == [
        "stages.gan.loss.margin: 0 is less than or equal to the minimum of 0"
    ]
    assert errors(f"{stage}loss: ganvas/hing}}}}")[0].startswith(
        "stages.gan.loss: 'ganvas/hing' is not one of ['ganvas"
    )


def test_two_plugins_with_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from ganvas import Loss\n\n\nclass Mine(Loss):\n    def __init__(self, *, own: int = 3): ...\n"
        "    def discriminator(self, real, fake): ...\n    def generator(self, fake, real): ...\n"
    )
    (tmp_path / "registry.yaml").write_text("components: {loss: {hinge: ./mine.py:Mine}}")
    schema = spec_schema(Host(tmp_path))
    validator = Draft7Validator(schema)
    spec = {"dataset": "digits", "stages": {"gan": {"use": "gan", "generator": "dcgan", "discriminator": "global"}}}
    gan = spec["stages"]["gan"]
    gan["steps"] = 2
    for loss, right in (
        ("hinge", False),
        ("mine/hinge", True),
        ({"use": "mine/hinge", "own": 4}, True),
        ({"use": "mine/hinge", "margin": 4}, False),
        ({"use": "ganvas/hinge", "margin": 4}, True),
    ):
        gan["loss"] = loss
        assert validator.is_valid(spec) == right, loss


def test_what_editors_offer(schema: dict[str, Any]) -> None:
    """Names stand in ``examples``: those that need no options, for options that are components or lists of them."""
    gan = schema["definitions"]["algorithm/gan"]["properties"]
    assert schema["definitions"]["condition"]["examples"] == ["attributes", "code", "labels", "none"]
    named = schema["definitions"]["condition"]["then"]["properties"]["use"]["examples"]
    assert named == ["attributes", "clusters", "code", "labels", "latent", "none"]
    assert gan["loss"] == {
        "allOf": [{"$ref": "#/definitions/loss"}],
        "description": "the adversarial loss",
        "default": "non-saturating",
    }
    assert gan["optimizers"]["examples"] == ["adam", "adamw", "lars", "rmsprop", "sgd"]
    assert gan["precision"]["enum"] == ["float32", "bf16"]
