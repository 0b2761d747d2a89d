from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from ganvas.kinds.networks import Generator
from ganvas.kinds.objectives import Loss, Regularizer
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.signature import (
    REQUIRED,
    GroupForm,
    Leaf,
    ListOf,
    MapOf,
    OneOf,
    ScheduledForm,
    TrainedForm,
    UseForm,
    alternatives,
    given_to,
    options_of,
)

FORMS = """
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from ganvas import Encoder, Head, Incidental, Loss, Regularizer, Scheduled, Trained, Use
from ganvas.kinds.options import Group


class Pair(Group):
    '''Two numbers.'''

    def __init__(self, *, low: float = 0.0, high: Annotated[float, Field(gt=0)]): ...


class Forms(Loss):
    def __init__(
        self,
        given: int = 3,
        *,
        whole: int,
        number: Annotated[float, Field(gt=0, le=1, description="a share")] = 0.5,
        text: str = "a",
        flag: bool = False,
        choice: Literal["a", "b", 3] = "a",
        maybe: int | None = None,
        bounded: Annotated[int | None, Field(ge=2, description="at least two")] = None,
        either: int | tuple[int, int] = 1,
        numbers: list[int] = (),
        named: dict[str, float] = MappingProxyType({"a": 1.0}),
        path: Path = Path("x"),
        paths: list[Path] = (),
        changing: Annotated[Scheduled, Field(ge=0)] = 1.0,
        whether: Annotated[bool, Incidental, Field(description="how, not what")] = True,
        one: Use[Head] = "linear",
        several: list[Use[Regularizer]] = (),
        sequence: Sequence[Use[Regularizer]] = (),
        by_name: dict[str, Use[Head]] = MappingProxyType({}),
        mapping: Mapping[str, Use[Head]] = MappingProxyType({}),
        two: tuple[Scheduled, Scheduled] = (0.0, 1.0),
        trained: Trained[Encoder],
        trained_or_not: Trained[Encoder] | None = None,
        either_trained: Trained[Encoder] | Trained[Head] = "features",
        either_trained_or_not: Trained[Encoder] | Trained[Head] | None = None,
        anything: Trained[Any] | None = None,
        choice_of_forms: Use[Head] | dict[str, Use[Head]] | None = None,
        group: Pair = MappingProxyType({"high": 1.0}),
    ):
        super().__init__()
"""


def made(tmp_path: Path, source: str, name: str) -> type:
    """A class out of a file of its own, so that its lines are known."""
    path = tmp_path / f"made_{len(list(tmp_path.iterdir()))}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(f"{tmp_path.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def broken(tmp_path: Path, source: str, name: str = "Bad") -> str:
    """What is said of a component whose options cannot be read, its folder left out."""
    component = made(tmp_path, source, name)
    with pytest.raises(BrokenComponent) as raised:
        options_of(component)
    return re.sub(r"^.*/made_\d+", "made", str(raised.value))


def test_every_form(tmp_path: Path) -> None:
    options = options_of(made(tmp_path, FORMS, "Forms"))
    described = {name: (type(option.form), option.json()["type"]) for name, option in options.items()}
    assert described == {
        "whole": (Leaf, "whole number"),
        "number": (Leaf, "number (> 0, <= 1)"),
        "text": (Leaf, "text"),
        "flag": (Leaf, "true or false"),
        "choice": (Leaf, "a | b | 3"),
        "maybe": (Leaf, "whole number or nothing"),
        "bounded": (Leaf, "whole number or nothing (>= 2)"),
        "either": (Leaf, "whole number or [whole number, whole number]"),
        "numbers": (Leaf, "list of whole numbers"),
        "named": (Leaf, "mapping of names to number"),
        "path": (Leaf, "path"),
        "paths": (Leaf, "list of paths"),
        "changing": (ScheduledForm, "number or schedule (>= 0)"),
        "whether": (Leaf, "true or false"),
        "one": (UseForm, "head"),
        "several": (ListOf, "list of regularizers"),
        "sequence": (ListOf, "list of regularizers"),
        "by_name": (MapOf, "mapping of names to heads"),
        "mapping": (MapOf, "mapping of names to heads"),
        "two": (ListOf, "[number or schedule, number or schedule]"),
        "trained": (TrainedForm, "trained encoder"),
        "either_trained": (TrainedForm, "trained encoder or head"),
        "either_trained_or_not": (OneOf, "trained encoder, head or nothing"),
        "trained_or_not": (OneOf, "trained encoder or nothing"),
        "anything": (OneOf, "trained stage or nothing"),
        "choice_of_forms": (OneOf, "head, mapping of names to heads or nothing"),
        "group": (GroupForm, "mapping {low, high}"),
    }
    assert [name for name, option in options.items() if option.required] == ["whole", "trained"]
    assert [name for name, option in options.items() if option.incidental] == ["path", "paths", "whether"]
    assert (options["number"].default, options["number"].description) == (0.5, "a share")
    assert options["whole"].default is REQUIRED
    assert options["whole"].json()["default"] is None
    assert options["named"].json()["default"] == {"a": 1.0}
    assert options["group"].json()["default"] == {"high": 1.0}
    assert options["several"].json()["default"] == []
    assert options["bounded"].description == "at least two"


INHERITED = """
from typing import Annotated

from pydantic import Field

from ganvas import Loss


class Base(Loss):
    def __init__(self, *, a: int = 1, b: Annotated[int, Field(description="the base's")] = 2):
        super().__init__()


class Passes(Base):
    def __init__(self, *, b: Annotated[int, Field(description="its own")] = 3, c: int = 4, **options):
        super().__init__(b=b, **options)


class Closes(Base):
    def __init__(self, *, c: int = 4):
        super().__init__()


class Silent(Base):
    pass
"""


def test_options_are_inherited_through_the_double_star(tmp_path: Path) -> None:
    passes = options_of(made(tmp_path, INHERITED, "Passes"))
    assert {name: option.default for name, option in passes.items()} == {"b": 3, "c": 4, "a": 1}
    assert passes["b"].description == "its own"
    assert list(options_of(made(tmp_path, INHERITED, "Closes"))) == ["c"]
    assert list(options_of(made(tmp_path, INHERITED, "Silent"))) == ["a", "b"]


def test_a_missing_hint(tmp_path: Path) -> None:
    source = (
        "from ganvas import Loss\n\nclass Bad(Loss):\n    def __init__(self, *, a=1):\n        super().__init__()\n"
    )
    assert broken(tmp_path, source) == "made.py:4: the option 'a' of Bad has no type hint; write a: float = …"


def test_a_hint_that_cannot_be_resolved(tmp_path: Path) -> None:
    source = (
        "from __future__ import annotations\n"
        "from ganvas import Loss\n"
        "class Bad(Loss):\n"
        "    def __init__(self, *, a: Unknown = 1):\n"
        "        super().__init__()\n"
    )
    assert broken(tmp_path, source) == (
        "made.py:4: a type hint of Bad.__init__ cannot be resolved (name 'Unknown' is not defined); "
        "import it at module level, not under TYPE_CHECKING"
    )


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("Use", "write which kind: Use[Loss]"),
        ("Trained", "write which kind: Trained[Loss]"),
        ("Use[int]", "Use[<class 'int'>] names no kind's base class"),
        ("Use[Any]", "Use[typing.Any] names no kind's base class"),
    ],
)
def test_components_of_no_kind(tmp_path: Path, hint: str, said: str) -> None:
    source = (
        "from typing import Any\n"
        "from ganvas import Loss, Trained, Use\n"
        "class Bad(Loss):\n"
        f"    def __init__(self, *, a: {hint} = 'b'):\n"
        "        super().__init__()\n"
    )
    assert broken(tmp_path, source) == f"made.py:4: the option 'a' of Bad: {said}"


def test_what_pydantic_cannot_check(tmp_path: Path) -> None:
    source = (
        "from ganvas import Loss\n"
        "class Odd: ...\n"
        "class Bad(Loss):\n"
        "    def __init__(self, *, a: Odd | None = None):\n"
        "        super().__init__()\n"
    )
    assert broken(tmp_path, source) == (
        "made.py:4: the option 'a' of Bad: no value of a spec is of its type, Odd or nothing; "
        "use Python's own types, Use, Trained or Scheduled"
    )


POSITIONALS = """
from ganvas import Generator, Loss, Regularizer


class Whole(Generator):
    def __init__(self, shape, condition, *, width: int = 3): ...


class Part(Generator):
    def __init__(self, shape, *, width: int = 3): ...


class Star(Generator):
    def __init__(self, *given, width: int = 3): ...


class TooMany(Generator):
    def __init__(self, shape, condition, width, *, depth: int = 3): ...


class Defaulted(Generator):
    def __init__(self, shape, condition, width=3): ...


class Given(Loss):
    def __init__(self, margin): ...


class Plain(Regularizer):
    pass
"""


def test_positionals_that_the_engine_gives(tmp_path: Path) -> None:
    assert given_to(made(tmp_path, POSITIONALS, "Whole"), "generator") == 2
    assert given_to(made(tmp_path, POSITIONALS, "Part"), "generator") == 1
    assert given_to(made(tmp_path, POSITIONALS, "Star"), "generator") == 2
    assert given_to(made(tmp_path, POSITIONALS, "Defaulted"), "generator") == 2
    assert given_to(made(tmp_path, POSITIONALS, "Plain"), "regularizer") == 1
    assert given_to(Loss, "loss") == 0
    assert issubclass(made(tmp_path, POSITIONALS, "Part"), Generator)
    assert issubclass(made(tmp_path, POSITIONALS, "Plain"), Regularizer)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        (
            "TooMany",
            "generator",
            "made.py:18: TooMany.__init__ asks for 'width', but a generator is given only shape, condition; "
            "put a * before it to make it an option",
        ),
        (
            "Given",
            "loss",
            "made.py:26: Given.__init__ asks for 'margin', but a loss is given nothing; "
            "put a * before it to make it an option",
        ),
    ],
)
def test_positionals_that_nobody_gives(tmp_path: Path, name: str, kind: str, said: str) -> None:
    component: Any = made(tmp_path, POSITIONALS, name)
    with pytest.raises(BrokenComponent) as raised:
        given_to(component, kind)
    assert re.sub(r"^.*/made_\d+", "made", str(raised.value)) == said


def test_alternatives() -> None:
    assert alternatives(["a"]) == "a"
    assert alternatives(["a", "b"]) == "a or b"
    assert alternatives(["a", "b", "c"]) == "a, b or c"
