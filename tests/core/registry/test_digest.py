from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ganvas.registry import digest
from ganvas.registry.digest import source_digest
from ganvas.registry.plugins import import_target

LOSS = '''
"""A module."""

import math

from made_up.helpers import scale


class Mine:
    """A loss."""

    def value(self, x):
        """Computes."""
        return scale(x) + 1


class Other:
    pass
'''
HELPERS = """
from . import deeper


def scale(x):
    return 2 * deeper.shift(x)
"""
DEEPER = """
def shift(x):
    return x - 3
"""
Digest = Callable[[], str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``made_up``: ``loss`` imports ``helpers``, which imports ``deeper``; none imports ``unrelated``."""
    folder = tmp_path / "made_up"
    folder.mkdir()
    for name, text in (("__init__", ""), ("loss", LOSS), ("helpers", HELPERS), ("deeper", DEEPER), ("unrelated", "")):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_up"]:
        del sys.modules[name]
    digest._exists.cache_clear()


def again(package: Path, name: str = "Mine") -> str:
    """The digest as another process would see it."""
    for module in [module for module in sys.modules if module.partition(".")[0] == "made_up"]:
        del sys.modules[module]
    digest._exists.cache_clear()
    importlib.invalidate_caches()
    return source_digest(getattr(importlib.import_module("made_up.loss"), name))


def edit(package: Path, module: str, old: str, new: str) -> None:
    path = package / f"{module}.py"
    text = path.read_text()
    assert old in text
    state = path.stat()
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))  # two edits may fall into one tick


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("loss", "import math\n", "import math  # for nothing\n\n\n# more\n"),
        ("loss", "A loss.", "A better\n\n    described loss."),
        ("loss", '        """Computes."""\n', ""),
        ("loss", '"""A module."""', ""),
        ("loss", "scale(x) + 1", "(scale(x)\n            + 1)"),
        ("helpers", "def scale(x):\n", "def scale(x):\n    '''Doubles.'''\n"),
        ("deeper", "\ndef", "# a comment\n\n\ndef"),
        ("unrelated", "", "x = 1"),
    ],
)
def test_what_computes_the_same_has_the_same_digest(package: Path, module: str, old: str, new: str) -> None:
    before = again(package)
    edit(package, module, old, new)
    assert again(package) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("loss", "+ 1", "+ 2"),
        ("loss", "return scale(x) + 1", "return 1 + scale(x)"),
        ("loss", "class Other:\n    pass", "class Other:\n    x = 3"),
        ("helpers", "2 *", "3 *"),
        ("deeper", "- 3", "- 4"),
    ],
)
def test_what_may_compute_otherwise_has_another(package: Path, module: str, old: str, new: str) -> None:
    before = again(package)
    edit(package, module, old, new)
    assert again(package) != before


def test_classes_of_one_module_differ(package: Path) -> None:
    assert again(package, "Mine") != again(package, "Other")


def test_a_string_that_is_no_docstring_counts(package: Path) -> None:
    before = again(package)
    edit(package, "loss", "import math\n", "import math\nNAME = 'a'\n")
    middle = again(package)
    edit(package, "loss", "NAME = 'a'", "NAME = 'b'")
    assert len({before, middle, again(package)}) == 3


def test_a_file_has_a_digest_wherever_it_lies(tmp_path: Path) -> None:
    for name, text in (("a", "class Mine:\n    x = 1\n"), ("b", "# moved\nclass Mine:\n    x = 1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(text)
    digests = [source_digest(import_target(str(tmp_path / name / "mine.py")).Mine) for name in "ab"]
    assert digests[0] == digests[1]


def test_a_class_without_a_source_is_known_by_its_name() -> None:
    one, other = type("One", (), {}), type("Other", (), {})
    one.__module__ = other.__module__ = "__nowhere__"
    assert source_digest(one) == source_digest(one)
    assert source_digest(one) != source_digest(other)
