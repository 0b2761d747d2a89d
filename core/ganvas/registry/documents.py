"""YAML 1.2 with positions, and the one way mistakes in it are reported: all at once, each with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Mistakes", "Node", "Place", "Problem", "did_you_mean", "parse", "read", "with_article"]

LARGEST = 100_000  # nodes in one document, aliases expanded: a bomb of aliases ends here and not in the memory
DEEPEST = 100  # levels of nesting: far more than any spec has, far fewer than Python's stack


@dataclass(frozen=True)
class Place:
    """Where something stands: file as the user named it, line and column from 1; line 0 is no line (``--set``)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands, which part of the spec it concerns, what to do."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        said = ": ".join(str(part) for part in (self.place, self.path, self.message) if str(part))
        return " ".join(said.splitlines())  # one line, whatever a key or a name contains


class Mistakes(Exception):
    """Mistakes of the user, found before anything ran. ``str()`` is one line per mistake, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = sorted(unique, key=lambda p: (p.place.file, p.place.line, p.place.column))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class Node:
    """A value of a document with its place. Mappings hold nodes by key, lists hold nodes.

    Attributes:
        value: None, bool, int, float, str, ``dict[str, Node]`` or ``list[Node]``.
        place: of the value; ``keys`` has the places of a mapping's keys.
        base: the folder that relative paths in it start from.
    """

    value: Any
    place: Place
    base: Path = field(default_factory=Path)
    keys: dict[str, Place] = field(default_factory=dict)

    @property
    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if isinstance(self.value, dict) else None

    def copy(self) -> Node:
        """A tree of its own, to be changed."""
        value: Any = self.value
        if isinstance(value, dict):
            value = {key: inner.copy() for key, inner in value.items()}
        elif isinstance(value, list):
            value = [inner.copy() for inner in value]
        return Node(value, self.place, self.base, dict(self.keys))

    @classmethod
    def of(cls, value: Any, place: Place, base: Path | None = None) -> Node:
        """A node from plain Python values, all at one place (defaults, overrides)."""
        base = base if base is not None else Path()
        if isinstance(value, dict):
            inner: Any = {str(key): cls.of(item, place, base) for key, item in value.items()}
            return cls(inner, place, base, dict.fromkeys(inner, place))
        if isinstance(value, list | tuple):
            return cls([cls.of(item, place, base) for item in value], place, base)
        return cls(value, place, base)

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Every node below with its path, this one first."""
        yield path, self
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield from node.walk(f"{path}.{key}" if path else key)
        elif isinstance(self.value, list):
            for index, node in enumerate(self.value):
                yield from node.walk(f"{path}[{index}]")


def did_you_mean(word: str, words: Sequence[str]) -> str:
    """``; did you mean 'hinge'?``, or the choices where they are few and none is near, or nothing."""
    near = difflib.get_close_matches(str(word), words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    if 0 < len(words) <= 30:
        return f"; choose from {', '.join(sorted(words))}"
    return ""


def with_article(word: str) -> str:
    """``loss`` -> ``a loss``, ``encoder`` -> ``an encoder``."""
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"


def read(path: Path, shown: str | None = None) -> Node:
    """Reads a YAML file. Raises ``Mistakes`` for what is no YAML 1.2, with the place."""
    shown = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Mistakes([Problem(Place(shown), "", "there is no such file")]) from None
    except IsADirectoryError:
        raise Mistakes([Problem(Place(shown), "", "this is a folder, not a file")]) from None
    except UnicodeDecodeError as error:
        raise Mistakes([Problem(Place(shown), "", f"not a text in UTF-8 ({error.reason})")]) from None
    except OSError as error:
        raise Mistakes([Problem(Place(shown), "", f"cannot be read: {error.strerror}")]) from None
    return parse(text, shown, path.resolve().parent)


def parse(text: str, shown: str, base: Path) -> Node:
    """Parses YAML 1.2 text: ``no`` is a word, ``1e-4`` a number, a repeated key a mistake."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)  # type: ignore[assignment]
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        raise Mistakes([_explained(error, shown)]) from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(shown, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise Mistakes(
            [Problem(place, "", f"not YAML: the character #x{error.character:04x} is not allowed")]
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Mistakes([Problem(Place(shown), "", f"not YAML: {said}")]) from None
    if root is None:
        return Node({}, Place(shown, 1, 1), base)
    return _Converter(shown, base).convert(root)


def _explained(error: Any, shown: str) -> Problem:
    """What ruamel says of a syntax error, in words that help where its own do not."""
    mark = error.problem_mark or error.context_mark
    said = " ".join(str(error.problem or error.context or "cannot be read").split())
    start = error.context_mark
    if said.startswith("but "):
        said = f"{error.context}, {said}"
    elif said.startswith("expected <block end>"):
        said = "the indentation does not fit the lines above"
    elif said.startswith("found character '\\t'"):
        said = "a tab cannot stand here; indent with spaces"
    elif said.startswith("mapping values are not allowed"):
        said = "a ': ' cannot stand here; quote a text that has one, and look at the indentation"
    elif "unexpected end of stream" in said and start is not None:
        said, mark = "the quote that opens here is not closed", start
    elif said.startswith("expected ',' or") and start is not None:
        said = f"{said}, after the bracket that opens in line {start.line + 1}"
    place = Place(shown, mark.line + 1, mark.column + 1) if mark else Place(shown)
    return Problem(place, "", f"not YAML: {said}")


class _Converter:
    def __init__(self, shown: str, base: Path) -> None:
        self.shown = shown
        self.base = base
        self.problems: list[Problem] = []
        self.count = 0

    def convert(self, root: Any) -> Node:
        node = self._node(root, "", ())
        if self.problems:
            raise Mistakes(self.problems)
        return node

    def _place(self, node: Any) -> Place:
        return Place(self.shown, node.start_mark.line + 1, node.start_mark.column + 1)

    def _node(self, node: Any, path: str, above: tuple[int, ...]) -> Node:
        place = self._place(node)
        self.count += 1
        if id(node) in above:
            raise Mistakes([Problem(place, path, "not a spec: an alias that contains itself")])
        if self.count > LARGEST or len(above) >= DEEPEST:
            why = f"more than {LARGEST:,} values" if self.count > LARGEST else f"more than {DEEPEST} levels deep"
            raise Mistakes([Problem(place, "", f"not a spec: {why}")])
        above = (*above, id(node))
        if node.id != "scalar" and str(node.tag) not in (_TAG + "map", _TAG + "seq"):
            self._refuse_tag(node, place, path)
        if node.id == "mapping":
            return self._mapping(node, place, path, above)
        if node.id == "sequence":
            items = [self._node(item, f"{path}[{index}]", above) for index, item in enumerate(node.value)]
            return Node(items, place, self.base)
        return Node(self._scalar(node, place, path), place, self.base)

    def _mapping(self, node: Any, place: Place, path: str, above: tuple[int, ...]) -> Node:
        values: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key_place = self._place(key_node)
            if key_node.id != "scalar":
                self.problems.append(Problem(key_place, path, "a key must be a word"))
                continue
            if str(key_node.tag) == _TAG + "merge":
                self.problems.append(
                    Problem(key_place, path, "YAML 1.2 has no merge key <<; use extends, or repeat it")
                )
                continue
            key = str(key_node.value)
            inner = f"{path}.{key}" if path else key
            if key in values:
                first = keys[key]
                self.problems.append(
                    Problem(key_place, inner, f"the key {key!r} stands here already, in line {first.line}")
                )
                continue
            values[key] = self._node(value_node, inner, above)
            if value_node.start_mark.index == value_node.end_mark.index:
                values[key].place = key_place  # nothing stands there: the mark is that of whatever comes next
            keys[key] = key_place
        return Node(values, place, self.base, keys)

    def _scalar(self, node: Any, place: Place, path: str) -> Any:
        text: str = node.value
        match str(node.tag).rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float" | "str" | "timestamp" | "value" | "merge":  # the last three are words of YAML 1.1
                return text if node.style or str(node.tag) == _TAG + "str" else _number(text)
            case _:
                return self._refuse_tag(node, place, path)

    def _refuse_tag(self, node: Any, place: Place, path: str) -> None:
        tag = str(node.tag).replace(_TAG, "!!")
        self.problems.append(Problem(place, path, f"a spec has no tags: {tag} is not allowed"))


_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")


def _number(text: str) -> Any:
    """A number of YAML 1.2's core schema, else the text: ``1_000`` and ``0b1`` are words, ``012`` is twelve."""
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
    except ValueError:  # more digits than Python reads
        return float(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _SPECIAL.fullmatch(text) else text
