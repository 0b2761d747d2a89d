"""``registry.yaml``: the catalogue of components, bundled or beside a user's specs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ganvas.kinds import KINDS
from ganvas.registry.documents import Mistakes, Node, Problem, did_you_mean, read

__all__ = ["Catalogue", "find_catalogue", "read_catalogue", "read_components"]

FILE_NAME = "registry.yaml"


@dataclass
class Catalogue:
    """The content of one ``registry.yaml``.

    Attributes:
        file: where it lies.
        plugins: modules, or files beside it (absolute), that hold hook implementations.
        components: kind -> name -> ``module:attribute`` or ``/absolute/file.py:attribute``.
        blocked: names of plugins, or ``kind/name`` of components, that are not offered.
        written: absolute file -> the same as it stands in the catalogue.
    """

    file: Path
    plugins: list[str] = field(default_factory=list)
    components: dict[str, dict[str, str]] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)


def find_catalogue(start: Path) -> Path | None:
    """The nearest ``registry.yaml`` from a folder upwards."""
    for folder in (start.resolve(), *start.resolve().parents):
        candidate = folder / FILE_NAME
        if candidate.is_file():
            return candidate
    return None


def read_components(file: Path) -> Mapping[str, Mapping[str, str]]:
    """The components of a catalogue, for a plugin's ``ganvas_components`` hook."""
    return read_catalogue(file).components


def read_catalogue(file: Path) -> Catalogue:
    """Reads and checks a catalogue; not to be changed, it is read once per version of the file. Raises ``Mistakes``."""
    try:
        state = file.stat()
    except OSError:
        return _read_catalogue(file, None)  # which says why it cannot be read
    return _read_catalogue(file, (state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=64)
def _read_catalogue(file: Path, state: tuple[int, int] | None) -> Catalogue:
    root = read(file)
    problems: list[Problem] = []
    found = Catalogue(file)
    if not isinstance(root.value, dict):
        raise Mistakes([Problem(root.place, "", "a registry has the keys plugins, components and blocked")])
    for key, node in root.value.items():
        if key == "plugins":
            found.plugins = [_target(item, found) for item in _words(node, key, problems)]
        elif key == "blocked":
            found.blocked = _words(node, key, problems)
        elif key == "components":
            found.components = _components(node, found, problems)
        else:
            hint = did_you_mean(key, ("plugins", "components", "blocked"))
            problems.append(Problem(root.keys[key], key, f"no such key in a registry{hint}"))
    if problems:
        raise Mistakes(problems)
    return found


def _words(node: Node, path: str, problems: list[Problem]) -> list[str]:
    if node.value is None:
        return []
    if not isinstance(node.value, list) or not all(isinstance(item.value, str) for item in node.value):
        problems.append(Problem(node.place, path, "must be a list of names"))
        return []
    return [item.value for item in node.value]


def _components(node: Node, catalogue: Catalogue, problems: list[Problem]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    if node.value is None:
        return found
    if not isinstance(node.value, dict):
        problems.append(Problem(node.place, "components", "must map a kind to names: loss: {mine: ./my_loss.py:Mine}"))
        return found
    for kind, names in node.value.items():
        path = f"components.{kind}"
        if kind not in KINDS:
            hint = did_you_mean(kind, list(KINDS))
            problems.append(Problem(node.keys[kind], path, f"there is no kind {kind!r}{hint}"))
            continue
        if not isinstance(names.value, dict):
            problems.append(Problem(names.place, path, "must map names to module:attribute or ./file.py:Class"))
            continue
        for name, target in names.value.items():
            if not isinstance(target.value, str) or ":" not in target.value:
                message = "must be module:attribute or ./file.py:Class"
                problems.append(Problem(target.place, f"{path}.{name}", message))
                continue
            found.setdefault(kind, {})[name] = _target(target.value, catalogue)
    return found


def _target(text: str, catalogue: Catalogue) -> str:
    """``./my_loss.py:Mine`` -> the same with an absolute path; module names stay."""
    home, colon, attribute = text.partition(":")
    if home.endswith(".py"):
        path = str((catalogue.file.parent / Path(home).expanduser()).resolve())
        catalogue.written[path] = home
        home = path
    return home + colon + attribute
