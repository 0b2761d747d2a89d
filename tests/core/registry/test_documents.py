from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ganvas.registry.documents import DEEPEST, Mistakes, Node, Place, Problem, did_you_mean, parse, read


def told(text: str) -> list[str]:
    with pytest.raises(Mistakes) as raised:
        parse(text, "s.yaml", Path())
    return str(raised.value).splitlines()


# -- positions ---------------------------------------------------------------------------------------------------------


def test_places_of_values_and_keys() -> None:
    root = parse("a: 1\nb:\n  - x\n  - {c: true}\nd:\n", "s.yaml", Path("/base"))
    places = {path: str(node.place) for path, node in root.walk()}
    assert places == {
        "": "s.yaml:1:1",
        "a": "s.yaml:1:4",
        "b": "s.yaml:3:3",
        "b[0]": "s.yaml:3:5",
        "b[1]": "s.yaml:4:5",
        "b[1].c": "s.yaml:4:9",
        "d": "s.yaml:5:1",  # nothing stands there: the key's
    }
    assert str(root.keys["b"]) == "s.yaml:2:1"
    assert str(root.value["b"].value[1].keys["c"]) == "s.yaml:4:6"
    assert {node.base for _, node in root.walk()} == {Path("/base")}
    assert root.plain == {"a": 1, "b": ["x", {"c": True}], "d": None}


def test_columns_count_characters() -> None:
    root = parse("{日本: 語, b: 2}", "s.yaml", Path())
    assert str(root.value["b"].place) == "s.yaml:1:12"


def test_an_alias_stands_where_its_anchor_does() -> None:
    root = parse("a: &x {b: 1}\nc: *x\n", "s.yaml", Path())
    assert root.plain == {"a": {"b": 1}, "c": {"b": 1}}
    assert str(root.value["c"].value["b"].place) == "s.yaml:1:11"
    root.value["c"].value["b"].value = 2
    assert root.value["a"].plain == {"b": 1}


def test_an_empty_document_is_an_empty_mapping() -> None:
    for text in ("", "# only a comment\n", "---\n"):
        assert parse(text, "s.yaml", Path()).plain in ({}, None)
    assert parse("", "s.yaml", Path()).plain == {}


# -- scalars -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("none", "none"),
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1_0.5", "1_0.5"),
        ("-.inf", -math.inf),
        (".INF", math.inf),
        ("'3'", "3"),
        ('"true"', "true"),
        ("2024-01-02", "2024-01-02"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("!!str 3", "3"),
        ("!!int 3", 3),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    found = parse(text, "s.yaml", Path()).value
    assert found == value
    assert type(found) is type(value)


def test_no_number_is_a_number() -> None:
    assert math.isnan(parse(".nan", "s.yaml", Path()).value)


def test_keys_are_texts() -> None:
    assert parse("{1: a, true: b, ~: c, 1.50: d}", "s.yaml", Path()).plain == {
        "1": "a",
        "true": "b",
        "~": "c",
        "1.50": "d",
    }


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_duplicate_keys_are_told_all_at_once() -> None:
    assert told("a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        "s.yaml:2:11: b.c: the key 'c' stands here already, in line 2",
        "s.yaml:3:1: a: the key 'a' stands here already, in line 1",
    ]


def test_a_bomb_of_aliases_ends_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (said,) = told("\n".join(lines))
    assert said.endswith(": not a spec: more than 100,000 values")


def test_an_alias_inside_itself() -> None:
    assert told("a: &x\n  b: [1, *x]\n") == ["s.yaml:1:4: a.b[1]: not a spec: an alias that contains itself"]


def test_nesting_has_an_end() -> None:
    assert told("[" * 150 + "]" * 150) == ["s.yaml:1:101: not a spec: more than 100 levels deep"]
    assert parse("[" * DEEPEST + "]" * DEEPEST, "s.yaml", Path()).value
    assert told("[" * 3_000) == ["s.yaml: not YAML: maximum recursion depth exceeded"]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a: !!python/object/apply:os.system [ls]", "!!python/object/apply:os.system"),
        ("a: !!python/name:os.system", "!!python/name:os.system"),
        ("a: !mine {b: 1}", "!mine"),
        ("a: !mine b", "!mine"),
        ("a: !!set {b, c}", "!!set"),
        ("a: !!binary aGk=", "!!binary"),
        ("a: !!omap [b: 1]", "!!omap"),
    ],
)
def test_tags_are_refused(text: str, tag: str) -> None:
    assert told(text) == [f"s.yaml:1:4: a: a spec has no tags: {tag} is not allowed"]


AFTER = "after the bracket that opens in line 1"
COLON = "a ': ' cannot stand here; quote a text that has one, and look at the indentation"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: {b: 1", "1:9", f"expected ',' or '}}', but got '<stream end>', {AFTER}"),
        ("a: [1\nb: 2", "2:2", f"expected ',' or ']', but got ':', {AFTER}"),
        ("a:\n\tb: 1", "2:1", "a tab cannot stand here; indent with spaces"),
        ("a:\n    b: 1\n  c: 2", "3:3", "the indentation does not fit the lines above"),
        ("a: b: c", "1:5", COLON),
        ("a: 'b", "1:4", "the quote that opens here is not closed"),
        ("a: *b", "1:4", "found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", "2:1", "expected a single document in the stream, but found another document"),
        ("a: 1\nb: x\0y", "2:5", "the character #x0000 is not allowed"),
    ],
)
def test_syntax(text: str, place: str, said: str) -> None:
    assert told(text) == [f"s.yaml:{place}: not YAML: {said}"]


def test_odd_keys() -> None:
    assert told("{[a]: 1}") == ["s.yaml:1:2: a key must be a word"]
    said = "YAML 1.2 has no merge key <<; use extends, or repeat it"
    assert told("a: &x {b: 1}\nc: {<<: *x}") == [f"s.yaml:2:5: c: {said}"]
    assert parse("{'<<': 1, =: 2}", "s.yaml", Path()).plain == {"<<": 1, "=": 2}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    for name, said in (
        ("none.yaml", "none.yaml: there is no such file"),
        ("latin.yaml", "latin.yaml: not a text in UTF-8 (invalid continuation byte)"),
        (".", ".: this is a folder, not a file"),
    ):
        with pytest.raises(Mistakes) as raised:
            read(tmp_path / name, name)
        assert str(raised.value) == said


def test_mistakes_are_sorted_told_once_and_one_line_each() -> None:
    late, early = Problem(Place("b", 10, 1), "x", "late"), Problem(Place("b", 9, 30), "", "early\nin two lines")
    other = Problem(Place("a"), "", "other")
    mistakes = Mistakes([late, early, late, other])
    assert str(mistakes) == "a: other\nb:9:30: early in two lines\nb:10:1: x: late"
    assert len(mistakes.problems) == 3


# -- small things ------------------------------------------------------------------------------------------------------


def test_did_you_mean() -> None:
    assert did_you_mean("hing", ["hinge", "wasserstein"]) == "; did you mean 'hinge'?"
    assert did_you_mean("zzz", ["b", "a"]) == "; choose from a, b"
    assert did_you_mean("zzz", [f"{number}" for number in range(31)]) == ""
    assert did_you_mean("zzz", []) == ""


def test_nodes_from_python() -> None:
    node = Node.of({"a": [1, {"b": None}], 2: (3,)}, Place("--set"), Path("/base"))
    assert node.plain == {"a": [1, {"b": None}], "2": [3]}
    assert {str(inner.place) for _, inner in node.walk()} == {"--set"}
    assert node.get("a") is node.value["a"]
    assert node.value["a"].get("b") is None
