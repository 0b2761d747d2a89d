"""``sweep:`` of a spec: its values, and every combination of them as a tree of its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ganvas.registry.documents import Node, Place, Problem
from ganvas.spec.source import assign
from ganvas.spec.validate import flow, shown

__all__ = ["Choice", "axes_of", "blamed", "combinations"]

MOST = 10_000  # combinations: far more than anybody trains


@dataclass(frozen=True, eq=False)
class Choice:
    """What sets a run apart: the value of a path (of a sweep, or of ``--set``), or settings with a common label.

    Attributes:
        where: ``sweep.stages.gan.loss[1]``, or ``sweep.LABEL``.
        nodes: path -> what is set.
        label: of settings that go together, else empty.
    """

    where: str
    nodes: Mapping[str, Node]
    label: str = ""

    def __str__(self) -> str:
        if self.label:
            return self.label
        shown = {path: node.value if isinstance(node.value, str) else flow(node) for path, node in self.nodes.items()}
        return ", ".join(f"{path.removeprefix('stages.')}={value}" for path, value in shown.items())

    def holds(self, place: Place) -> bool:
        """Whether something in this value stands at a place."""
        walked = (inner for node in self.nodes.values() for _, inner in node.walk())
        return any(place == inner.place or place in inner.keys.values() for inner in walked)


def axes_of(root: Node, sweep: Node, refuse: Callable[[Place, str, str], None]) -> list[list[Choice]]:
    """The values that are combined: a list of them for each path, and one for all labels together.

    Args:
        root: the spec without its sweep.
        refuse: is told place, path and message of what is wrong; that is left out.
    """
    if not isinstance(sweep.value, dict):
        message = f"must map a path to a list of values, or a label to settings, not {shown(sweep)}"
        refuse(sweep.place, "sweep", message)
        return []
    axes: list[list[Choice]] = []
    together: list[Choice] = []
    for key, node in sweep.value.items():
        where = f"sweep.{key}"
        if isinstance(node.value, dict):
            if not together:
                axes.append(together)
            together.append(Choice(where, node.value, key))
        elif not isinstance(node.value, list):
            message = "must be a list of values for this path, or a mapping of paths to values that go together"
            refuse(node.place, where, message)
        elif not node.value:
            refuse(node.place, where, "an empty list leaves nothing to train")
        elif problems := assign(root.copy(), key, node.value[0].copy()):
            refuse(sweep.keys[key], where, problems[0].message)  # the path is at fault, and it is the same for each
        else:
            axes.append([Choice(f"{where}[{i}]", {key: value}) for i, value in enumerate(node.value)])
    number = math.prod(len(axis) for axis in axes)
    if number > MOST:
        refuse(sweep.place, "sweep", f"{number:,} combinations are more than the {MOST:,} that are taken")
        return []
    return axes


def combinations(root: Node, axes: Sequence[Sequence[Choice]]) -> list[tuple[tuple[Choice, ...], Node, list[Problem]]]:
    """Every combination: its values, its tree, and the paths in it that lead nowhere. The last axis changes first."""
    found = []
    for choices in itertools.product(*axes) if axes else ():
        tree = root.copy()
        settings = [(path, node) for choice in choices for path, node in choice.nodes.items()]
        problems = [problem for path, node in settings for problem in assign(tree, path, node.copy())]
        found.append((choices, tree, problems))
    return found


def blamed(found: Sequence[tuple[Sequence[Choice], Problem]]) -> list[Problem]:
    """Problems of combinations, each told once, with the swept value that makes it.

    That is the value in which the problem stands, else the values that all combinations with this problem share.
    """
    makers: dict[Problem, list[Choice]] = {}
    for choices, problem in found:
        makers[problem] = [choice for choice in makers.get(problem, choices) if choice in choices]
    told = []
    for problem, choices in makers.items():
        own = [choice for choice in choices if choice.holds(problem.place)]
        where = " with ".join(choice.where for choice in own or choices)
        told.append(Problem(problem.place, where, f"{problem.path}: {problem.message}"))
    return told
