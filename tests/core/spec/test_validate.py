from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ganvas.kinds.options import Group, Scheduled
from ganvas.registry.documents import Node, Place, parse
from ganvas.registry.plugins import Host
from ganvas.registry.signature import Form, Leaf, ScheduledForm, options_of
from ganvas.spec.validate import Validator, shown, with_article


@dataclass
class At:
    """A position; reading its progress is noted."""

    index: int = 0
    images: int = 0
    share: float | None = None

    @property
    def progress(self) -> float:
        assert self.share is not None, "this schedule is not to read the stage's length"
        return self.share


def validated(text: str, form: Form) -> tuple[Any, list[str]]:
    validator = Validator(Host(installed=False))
    value = validator.value(parse(text, "s", Path("/base")), form, "x")
    return value, [str(problem) for problem in validator.problems]


def schedule(text: str) -> Scheduled:
    value, problems = validated(text, ScheduledForm())
    assert problems == []
    return value


# -- schedules ---------------------------------------------------------------------------------------------------------


def test_a_number_is_a_constant() -> None:
    value = schedule("3")
    assert value.constant
    assert value.at(At()) == 3
    assert value.plain() == 3


def values(text: str, *shares: float) -> list[float]:
    value = schedule(text)
    return [value.at(At(share=share)) for share in shares]


def test_linear() -> None:
    assert values("{from: 1, to: 3}", 0, 0.25, 0.5, 0.999) == pytest.approx([1, 1.5, 2, 2.998])


def test_cosine() -> None:
    expected = [1, 0.5 + 0.5 * math.cos(math.pi / 4), 0.5, 0]
    assert values("{from: 1, to: 0, shape: cosine}", 0, 0.25, 0.5, 1) == pytest.approx(expected)


def test_exponential() -> None:
    assert values("{from: 1, to: 1e-4, shape: exponential}", 0, 0.25, 0.5, 1) == pytest.approx([1, 0.1, 0.01, 1e-4])


def test_hold_keeps_the_first_value() -> None:
    assert values("{from: 1, to: 0, hold: 0.5}", 0, 0.25, 0.5, 0.75, 1) == pytest.approx([1, 1, 1, 0.5, 0])


def test_warm_up_rises_from_zero() -> None:
    expected = [0, 0.5, 1, 0.5, 0]
    assert values("{from: 1, to: 0, warm_up: 0.2}", 0, 0.1, 0.2, 0.6, 1) == pytest.approx(expected)
    assert values("{from: 1, to: 0, warm_up: 0.2, hold: 0.6}", 0.1, 0.6, 0.8) == pytest.approx([0.5, 1, 0.5])


def test_warm_up_alone() -> None:
    assert values("{from: 2, to: 2, warm_up: 0.5}", 0, 0.25, 0.5, 1) == pytest.approx([0, 1, 2, 2])
    assert values("{value: 2, warm_up: 0.5}", 0, 0.25, 0.5, 1) == pytest.approx([0, 1, 2, 2])


def test_over_iterations_and_images_never_read_the_length() -> None:
    iterations = schedule("{from: 0, to: 10, over: {iterations: 5}}")
    assert [iterations.at(At(index=index)) for index in (0, 1, 5, 50)] == pytest.approx([0, 2, 10, 10])
    images = schedule("{from: 0, to: 10, over: {images: 1000}}")
    assert [images.at(At(images=count)) for count in (0, 500, 1000, 9000)] == pytest.approx([0, 5, 10, 10])


def test_first_and_every_are_those_of_wgan() -> None:
    value = schedule("{value: 5, first: [25, 100], every: [500, 100]}")
    assert [value.at(At(index=index)) for index in (0, 24, 25, 499, 500, 501, 1000)] == [100, 100, 5, 5, 100, 5, 100]


SCHEDULES = [
    "3.0",
    "{from: 1.0, to: 3.0, shape: linear}",
    "{from: 1.0, to: 0.5, shape: cosine, over: {images: 5}}",
    "{from: 1.0, to: 0.5, shape: exponential, over: {iterations: 5}, hold: 0.5, warm_up: 0.1}",
    "{value: 5.0, first: [25, 100.0], every: [500, 100.0]}",
    "{from: 2.0, to: 2.0, warm_up: 0.5}",
    "{from: 1.0, to: 2.0, shape: linear, first: [2, 9.0]}",
]


@pytest.mark.parametrize("text", SCHEDULES)
def test_a_schedule_comes_back_from_its_plain_form(text: str) -> None:
    value = schedule(text)
    plain = value.plain()
    assert plain == parse(text, "s", Path()).plain
    again = Validator(Host(installed=False)).value(Node.of(plain, Place("s")), ScheduledForm(), "x")
    assert again == value


def test_bounds_hold_for_every_number() -> None:
    form = ScheduledForm(tuple(Field(ge=1).metadata))
    _, problems = validated("{value: 0, first: [2, 0.5], every: [3, -1]}", form)
    assert problems == [
        "s:1:9: x.value: must be at least 1, not 0",
        "s:1:23: x.first[1]: must be at least 1, not 0.5",
        "s:1:40: x.every[1]: must be at least 1, not -1",
    ]


def test_whole_schedules() -> None:
    form = ScheduledForm(tuple(Field(multiple_of=1).metadata))
    assert validated("{from: 1, to: 1.5}", form)[1] == ["s:1:15: x.to: must be a whole number, not 1.5"]


# -- strictness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "3", 3),
        (int, "0x10", 16),
        (float, "3", 3.0),
        (float, "1e-4", 1e-4),
        (bool, "true", True),
        (str, "no", "no"),
        (str, "'3'", "3"),
        (int | None, "~", None),
        (list[int], "[1, 2]", [1, 2]),
        (tuple[int, int], "[1, 2]", (1, 2)),
        (int | tuple[int, int], "[1, 2]", (1, 2)),
        (dict[str, float], "{a: 1}", {"a": 1.0}),
        (Literal["a", 4], "4", 4),
        (Path, "x/y", Path("/base/x/y")),
        (list[Path], "[x, /y]", [Path("/base/x"), Path("/y")]),
    ],
)
def test_good_values(hint: Any, text: str, value: Any) -> None:
    found, problems = validated(text, Leaf(hint))
    assert problems == []
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "problem"),
    [
        (int, "true", "s:1:1: x: must be a whole number, not true"),
        (float, "true", "s:1:1: x: must be a number, not true"),
        (int, "'3'", "s:1:1: x: must be a whole number, not '3'"),
        (int, "3.0", "s:1:1: x: must be a whole number, not 3.0"),
        (int, "~", "s:1:1: x: must be a whole number, not nothing"),
        (float, ".inf", "s:1:1: x: must be a finite number, not .inf"),
        (float, "-.inf", "s:1:1: x: must be a finite number, not -.inf"),
        (list[float], "[1, .nan]", "s:1:5: x[1]: must be a finite number, not .nan"),
        (bool, "no", "s:1:1: x: must be true or false, not 'no'"),
        (bool, "1", "s:1:1: x: must be true or false, not 1"),
        (str, "3", "s:1:1: x: must be text, not 3"),
        (int | None, "a", "s:1:1: x: must be a whole number or nothing, not 'a'"),
        (list[int], "3", "s:1:1: x: must be a list of whole numbers, not 3"),
        (list[int], "[1, a]", "s:1:1: x: must be a list of whole numbers, not [1, a]"),
        (tuple[int, int], "[1]", "s:1:1: x: must be [whole number, whole number], not [1]"),
        (Path, "3", "s:1:1: x: must be a path, not 3"),
        (dict[str, int], "[]", "s:1:1: x: must be a mapping of names to whole number, not []"),
        (Literal["crop", "pad"], "crap", "s:1:1: x: must be crop or pad, not 'crap'; did you mean 'crop'?"),
        (Annotated[list[int], Field(min_length=1)], "[]", "s:1:1: x: must have at least 1 entries, not 0"),
        (Annotated[str, Field(min_length=2)], "a", "s:1:1: x: must have at least 2 characters, not 'a'"),
    ],
)
def test_bad_values(hint: Any, text: str, problem: str) -> None:
    assert validated(text, Leaf(hint)) == (None, [problem])


class Nested(Group):
    def __init__(self, *, rate: Annotated[float, Field(gt=0, description="how fast")], name: str = "a") -> None: ...


def test_groups() -> None:
    validator = Validator(Host(installed=False))
    value = validator.group(parse("{rate: 2}", "s", Path()), Nested, "x", "x")
    assert (value.rate, value.name, validator.problems) == (2.0, "a", [])
    assert list(options_of(Nested)) == ["rate", "name"]
    validator.group(parse("{nam: 2, name: 3}", "s", Path()), Nested, "x", "x")
    assert [str(problem) for problem in validator.problems] == [
        "s:1:2: x.nam: x has no 'nam'; did you mean 'name'?",
        "s:1:1: x: x needs 'rate' (how fast)",
        "s:1:16: x.name: must be text, not 3",
    ]


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: [1, true, ~, .inf], b: x}", "{a: [1, true, null, .inf], b: x}"),
        ("[" + "1234567890, " * 10 + "1]", "a list"),
        ("{" + ", ".join(f"key{i}: 1" for i in range(10)) + "}", "a mapping"),
        ("x" * 61, f"'{'x' * 60}'…"),
        ("~", "nothing"),
        ("1" * 61, "a huge number"),
    ],
)
def test_values_are_shown_where_they_are_short(text: str, said: str) -> None:
    assert shown(parse(text, "s", Path())) == said


def test_articles() -> None:
    assert [with_article(word) for word in ("loss", "encoder", "optimizer")] == ["a loss", "an encoder", "an optimizer"]
