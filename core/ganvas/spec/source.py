"""From files and overrides to one tree of nodes: ``extends`` and ``--set``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganvas.registry.documents import Mistakes, Node, Place, Problem, did_you_mean, parse, read

__all__ = ["assign", "expand_path", "load_source", "quickstart", "split_path"]


def load_source(
    path: Path, settings: Sequence[str] = (), overrides: Mapping[str, Any] | None = None, shown: str | None = None
) -> tuple[Node, list[str]]:
    """Reads a spec with everything it extends, then applies ``P=V`` settings and Python overrides, in order.

    Returns:
        The tree, and remarks on options that were dropped on the way.

    Raises:
        Mistakes: with the place of each.
    """
    remarks: list[str] = []
    root = _inherit(read(path, shown), (path.resolve(),), remarks)
    if not isinstance(root.value, dict):
        raise Mistakes([Problem(root.place, "", "a spec is a mapping: name, dataset, stages")])
    problems: list[Problem] = []
    for setting in settings:
        target, equals, text = setting.partition("=")
        place = Place(f"--set {setting}")
        if not equals or not target.strip():
            problems.append(Problem(place, "", "write it as --set stages.gan.loss=hinge"))
            continue
        try:
            value = parse(text, str(place), Path.cwd()) if text.strip() else Node(None, place)
        except Mistakes as mistakes:
            problems += [Problem(place, "", problem.message) for problem in mistakes.problems]
            continue
        _set(root, target.strip(), _at(value, place), problems, remarks)
    for target, value in (overrides or {}).items():
        _set(root, target, Node.of(value, Place(f"override {target}"), Path.cwd()), problems, remarks)
    if problems:
        raise Mistakes(problems)
    return root, remarks


def quickstart() -> Path:
    """The file of the shipped spec: in a wheel it lies in the package, in a checkout beside it."""
    package = Path(__file__).parents[1]
    packaged = package / "quickstart.yaml"
    return packaged if packaged.exists() else package.parents[1] / "experiments" / "quickstart.yaml"


def expand_path(text: str, base: Path) -> Path:
    """``~`` and ``$VAR`` expanded, relative paths from the file they stand in."""
    try:
        return (base / Path(os.path.expandvars(text)).expanduser()).resolve()
    except RuntimeError as error:  # what pathlib raises for the home of somebody unknown
        raise ValueError(str(error).rstrip(".").lower()) from error


def _inherit(child: Node, chain: tuple[Path, ...], remarks: list[str]) -> Node:
    if not isinstance(child.value, dict) or "extends" not in child.value:
        return child
    target = child.value.pop("extends")
    child.keys.pop("extends")
    if not isinstance(target.value, str):
        raise Mistakes([Problem(target.place, "extends", "must be the path of another spec")])
    try:
        path = expand_path(target.value, child.base)
    except ValueError as error:
        raise Mistakes([Problem(target.place, "extends", f"must be the path of another spec: {error}")]) from None
    if target.value == "quickstart" and not path.is_file():
        path = quickstart()
    if path == chain[-1]:
        raise Mistakes([Problem(target.place, "extends", "a spec cannot extend itself")])
    if path in chain:
        raise Mistakes([Problem(target.place, "extends", f"{target.value} extends this spec in turn")])
    if not os.path.isfile(path):
        raise Mistakes([Problem(target.place, "extends", f"there is no file {target.value}")])
    parent = _inherit(read(path, os.path.relpath(path)), (*chain, path), remarks)
    if not isinstance(parent.value, dict):
        raise Mistakes([Problem(parent.place, "", "a spec is a mapping: name, dataset, stages")])
    return _merge(parent, child, "", remarks)


def _merge(parent: Node, child: Node, path: str, remarks: list[str]) -> Node:
    """Mappings merge; a list, or a component whose ``use`` changes, replaces."""
    if isinstance(child.value, str) and parent.get("use") is not None:
        named = _merge(parent, Node({"use": child}, child.place, child.base, {"use": child.place}), path, remarks)
        return child if len(named.value) == 1 else named  # `loss: hinge` is `loss: {use: hinge}`
    if not isinstance(child.value, dict):
        return child
    if isinstance(parent.value, str) and "use" not in child.value:
        parent = Node({"use": parent}, parent.place, parent.base, {"use": parent.place})  # options for `loss: hinge`
    if not isinstance(parent.value, dict):
        return child
    if "use" in child.value and "use" in parent.value and child.value["use"].value != parent.value["use"].value:
        dropped = [key for key in parent.value if key != "use" and key not in child.value]
        if dropped:
            remarks.append(
                f"{child.place}: {path}: {parent.value['use'].value!r} became {child.value['use'].value!r}, "
                f"so its {', '.join(dropped)} no longer count"
            )
        return child
    merged = Node(dict(parent.value), child.place, parent.base, dict(parent.keys))
    for key, node in child.value.items():
        inner = f"{path}.{key}" if path else key
        merged.value[key] = _merge(parent.value[key], node, inner, remarks) if key in parent.value else node
        merged.keys[key] = child.keys[key]
    return merged


def _at(node: Node, place: Place) -> Node:
    """The node with every place replaced: what came from the command line is shown as it was typed."""
    for _, inner in node.walk():
        inner.place = place
        inner.keys = dict.fromkeys(inner.keys, place)
    return node


def split_path(path: str) -> list[str]:
    """``stages.gan.regularizers[0].weight`` -> its steps; ``.0`` does as well as ``[0]``."""
    return [step for step in re.split(r"\.|\[(\d+)\]", path) if step]


def assign(root: Node, path: str, value: Node) -> list[Problem]:
    """Sets a value in place, by path."""
    problems: list[Problem] = []
    _set(root, path, value, problems, [])
    return problems


def _set(root: Node, path: str, value: Node, problems: list[Problem], remarks: list[str]) -> None:
    steps = split_path(path)
    if not steps:
        problems.append(Problem(value.place, path, "names nothing; write a path such as stages.gan.loss"))
        return
    node = root
    for number, step in enumerate(steps[:-1]):
        inner = _child(node, step)
        above = ".".join(steps[: number + 1])
        if inner is None and (isinstance(node.value, list) or (number == 1 and steps[0] == "stages")):
            if isinstance(node.value, list):
                message = f"there is no entry {step} in a list of {len(node.value)}; the first is 0"
            else:
                stages = node.value if isinstance(node.value, dict) else {}
                message = f"there is no stage {step!r}{did_you_mean(step, list(stages))}"
            problems.append(Problem(value.place, path, message))
            return
        if inner is None:
            inner = Node({}, value.place, value.base)
            if not _put(node, step, inner, value.place):
                problems.append(
                    Problem(value.place, path, f"there is no place for {above}: what is above is no mapping")
                )
                return
        node = inner
    last = steps[-1]
    there = _child(node, last)
    if isinstance(value.value, str) and there is not None and there.get("use") is not None:
        value = _merge(there, value, path, remarks)  # a bare name for a component that has options
    if isinstance(node.value, str):  # an option of a component that stood there as a bare name
        if last == "use":
            node.value, node.place = value.value, value.place
            return
        name = Node(node.value, node.place, node.base)
        node.value, node.keys = {"use": name}, {"use": node.place}
    if isinstance(node.value, dict) and last == "use" and node.value.get("use") is not None:
        dropped = [key for key in node.value if key != "use"] if node.value["use"].value != value.value else []
        if dropped and not (len(steps) == 3 and steps[0] == "stages"):
            remarks.append(f"{value.place}: {path}: the options {', '.join(dropped)} no longer count")
            node.value, node.keys = {}, {}
    if not _put(node, last, value, value.place):
        if isinstance(node.value, list):
            message = f"there is no entry {last} in a list of {len(node.value)}; the first is 0"
        else:
            message = f"there is no place for {last!r}: what is above it is no mapping"
        problems.append(Problem(value.place, path, message))


def _child(node: Node, step: str) -> Node | None:
    if isinstance(node.value, dict):
        found = node.value.get(step)
        return None if found is None or found.value is None else found
    if isinstance(node.value, list) and step.isdigit() and int(step) < len(node.value):
        return node.value[int(step)]
    return None


def _put(node: Node, step: str, value: Node, place: Place) -> bool:
    if isinstance(node.value, dict):
        node.value[step] = value
        node.keys[step] = place
        return True
    if isinstance(node.value, list) and step.isdigit() and int(step) <= len(node.value):
        node.value[int(step) : int(step) + 1] = [value]
        return True
    return False
