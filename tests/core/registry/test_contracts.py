"""What is wrong with a component's class: all of it at once, with file and line and what to write instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ganvas.registry.contracts import check_component
from ganvas.registry.plugins import Host, import_target

HEAD = """\
import types
from typing import ClassVar
from collections import OrderedDict
from ganvas import Dataset, Generator, Loss, Tracker, hookimpl
from pydantic import Field
class Plain(Loss):
    def discriminator(self, real, fake): ...
    def generator(self, fake, real): ...
"""


def said(tmp_path: Path, source: str, kind: str = "loss", name: str = "Mine") -> list[str]:
    """Mistakes of a class written below nine lines, with its folder left out."""
    path = tmp_path / "mine.py"
    path.write_text(HEAD + source)
    found = check_component(getattr(import_target(str(path)), name), kind)
    return [mistake.replace(f"{tmp_path}/", "") for mistake in found]


def option(text: str) -> str:
    return f"class Mine(Plain):\n    def __init__(self, *, {text}): super().__init__()\n"


def test_every_bundled_component_keeps_its_contract() -> None:
    host = Host()
    entries = host.entries()
    assert host.usable() == entries
    assert len(entries) > 40


def test_a_class_as_it_should_be(tmp_path: Path) -> None:
    good = "a: int, b: tuple[int, ...] = (1, 2), c: dict[str, int] = types.MappingProxyType({'a': 1}), d: str = 'e'"
    assert said(tmp_path, option(good)) == []


def test_a_class_of_another_kind_or_of_none(tmp_path: Path) -> None:
    assert said(tmp_path, "class Mine: ...\n") == ["mine.py:9: Mine is not a Loss: derive it from ganvas.Loss"]
    assert said(tmp_path, "class Mine(Plain): ...\n", "generator") == [
        "mine.py:9: Mine is a Loss, not a Generator: register it as a loss"
    ]
    assert said(tmp_path, "class Mine(Dataset): ...\n", "loss") == [
        "mine.py:9: Mine is a Dataset, not a Loss: register it as a dataset"
    ]
    assert said(tmp_path, "def Mine(): ...\n") == ["mine.py:9: Mine is no class: derive one from ganvas.Loss"]
    assert check_component([], "loss") == ("?: [] is no class: derive one from ganvas.Loss",)


def test_what_the_contract_asks_for_and_the_class_leaves_out(tmp_path: Path) -> None:
    assert said(tmp_path, "class Mine(Loss):\n    def generator(self, fake, real): ...\n") == [
        "mine.py:9: Mine leaves out discriminator(), which a loss must have"
    ]
    assert said(tmp_path, "class Mine(Dataset):\n    fields: ClassVar = {}\n", "dataset") == [
        "mine.py:9: Mine leaves out __getitem__(), __len__() and fingerprint, which a dataset must have"
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a=1", "the option 'a' of Mine has no type hint; write a: float = …"),
        (
            "a: 'Nothing' = 1",
            "a type hint of Mine.__init__ cannot be resolved (name 'Nothing' is not defined); "
            "import it at module level, not under TYPE_CHECKING",
        ),
        (
            "a: Plain | None = None",
            "the option 'a' of Mine: no value of a spec is of its type, Plain or nothing; "
            "use Python's own types, Use, Trained or Scheduled",
        ),
        (
            "use: int = 1",
            "the option 'use' of Mine hides the key of a spec that names the component; call it something else",
        ),
    ],
)
def test_hints_and_names(tmp_path: Path, text: str, mistake: str) -> None:
    assert said(tmp_path, option(text)) == [f"mine.py:10: {mistake}"]


@pytest.mark.parametrize(
    ("hint", "default", "fix"),
    [
        ("list[int]", "[1, 2]", "a tuple, (1, 2)"),
        ("list[int]", "[]", "a tuple, ()"),
        ("list[list[int]]", "[[1], []]", "a tuple, ((1,), ())"),
        ("list[list[int]]", "([1],)", "a tuple, ((1,),)"),
        ("dict[str, int]", "{}", "types.MappingProxyType({})"),
        ("dict[str, list[int]]", "{'a': [1]}", "types.MappingProxyType({'a': (1,)})"),
        ("dict[str, int]", "OrderedDict(a=1)", "types.MappingProxyType({'a': 1})"),
        ("dict[str, list[int]]", "types.MappingProxyType({'a': [1]})", "types.MappingProxyType({'a': (1,)})"),
        ("set[str]", "{'b', 'a'}", "a tuple, ('a', 'b')"),
        ("set[str]", "set()", "a tuple, ()"),
    ],
)
def test_mutable_defaults(tmp_path: Path, hint: str, default: str, fix: str) -> None:
    (line,) = said(tmp_path, option(f"layers: {hint} = {default}"))
    shown = re.sub(r"\{'[ab]', '[ab]'\}", "{'b', 'a'}", line)
    import types
    from collections import OrderedDict

    value = eval(default, {"types": types, "OrderedDict": OrderedDict})
    text = default if isinstance(value, set) and value else repr(value)
    assert shown == (
        f"mine.py:10: the option 'layers' of Mine has a mutable default, {text}, which all its builds would share; "
        f"write {fix}"
    )
    # What is proposed is taken.
    assert said(tmp_path, option(f"layers: {hint} = {fix.removeprefix('a tuple, ')}")) == []


def test_positionals_that_nobody_gives(tmp_path: Path) -> None:
    assert said(tmp_path, "class Mine(Plain):\n    def __init__(self, margin): ...\n") == [
        "mine.py:10: Mine.__init__ asks for 'margin', but a loss is given nothing; "
        "put a * before it to make it an option"
    ]
    source = "class Mine(Generator):\n    def forward(self, latents): ...\n    def __init__(self, a, b, c, d): ...\n"
    assert said(tmp_path, source, "generator") == [
        "mine.py:11: Mine.__init__ asks for 'c' and 'd', but a generator is given only shape, condition; "
        "put a * before them to make them options"
    ]
    assert said(tmp_path, source.replace("a, b, c, d", "a"), "generator") == []


def test_a_trackers_methods_are_hooks(tmp_path: Path) -> None:
    tracker = """\
class Mine(Tracker):
    @hookimpl
    def ganvas_scalars(self, index, epoch, lines=3): ...

    def ganvas_images(self, previews): ...

    @hookimpl
    def ganvas_stage_start(self): ...

    @hookimpl
    def ganvas_stage_finished(self, stage, metrics): ...

    @staticmethod
    @hookimpl
    def ganvas_checkpoint_saved(path): ...
"""
    assert said(tmp_path, tracker, "tracker") == [
        "mine.py:13: ganvas_images is not decorated, so it is never called: write @ganvas.hookimpl above it",
        "mine.py:10: ganvas_scalars asks for 'epoch', which ganvas 0.1.0 does not give (it gives stage, index, images, "
        "scalars): the plugin may be written for a newer ganvas",
        "mine.py:15: no hook is called 'ganvas_stage_start'; did you mean 'ganvas_stage_started'?",
    ]


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    source = "class Mine(Loss):\n    def __init__(self, margin, *, a=[], use: int): ...\n"
    assert said(tmp_path, source) == [
        "mine.py:9: Mine leaves out discriminator() and generator(), which a loss must have",
        "mine.py:10: Mine.__init__ asks for 'margin', but a loss is given nothing; "
        "put a * before it to make it an option",
        "mine.py:10: the option 'a' of Mine has a mutable default, [], which all its builds would share; "
        "write a tuple, ()",
        "mine.py:10: the option 'a' of Mine has no type hint; write a: float = …",
        "mine.py:10: the option 'use' of Mine hides the key of a spec that names the component; call it something else",
    ]


def test_a_group_is_held_to_the_same(tmp_path: Path) -> None:
    from ganvas.registry.bases import BrokenComponent
    from ganvas.registry.signature import options_of

    path = tmp_path / "mine.py"
    path.write_text("from ganvas.kinds.options import Group\nclass Pair(Group):\n    def __init__(self, *, a=1): ...\n")
    group: Any = import_target(str(path)).Pair
    with pytest.raises(
        BrokenComponent, match=r"mine.py:3: the option 'a' of Pair has no type hint; write a: float = …$"
    ):
        options_of(group)
