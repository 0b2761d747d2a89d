"""What a conformance check is made of: a component under test, the cases it is tried in, a failure that tells."""

from __future__ import annotations

import copy
import inspect
import traceback
import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from ganvas.kinds import KINDS
from ganvas.kinds.data import Data, MissingData, Sources
from ganvas.kinds.networks import place
from ganvas.registry.bases import BrokenComponent, kind_of
from ganvas.registry.documents import Mistakes, Node, Place
from ganvas.registry.plugins import Host, register, unregister
from ganvas.registry.signature import OneOf, TrainedForm, UseForm, options_of, where
from ganvas.spec.build import Builder, fork_random
from ganvas.spec.validate import Component, StageReference, Validator
from ganvas.testing import doubles
from ganvas.testing.doubles import FEATURES

__all__ = ["Broken", "Case", "Check", "ContractBroken", "Subject", "Suite", "skip"]

OWN = "ganvas.testing"  # the plugin of the doubles, and of a class that no plugin offers

SHAPES = ((1, 28, 28), (3, 32, 48))
OTHER_SHAPES = ((3, 32, 32), (1, 32, 32), (3, 64, 64), (3, 128, 128), (3, 256, 256), (1, 8, 8))  # if those are refused
CLASSES = 5  # K of conditions and labels


class ContractBroken(AssertionError):
    """A component breaks its kind's contract: what the contract asks, what came, and where to look."""


class Broken(Exception):
    """Raised inside a check with what came; ``Check`` adds what was asked and where to look."""


def skip(reason: str) -> NoReturn:
    """Ends a check that does not apply; pytest shows it as skipped."""
    raise unittest.SkipTest(reason)


@dataclass(frozen=True)
class Case:
    """What a component is tried at.

    Attributes:
        shape: (C, H, W) of the images.
        classes: K of a one-hot condition (K,), or None for no condition.
        device: ``cpu`` or ``cuda``.
        paired: the data have two sources, ``a`` and ``b``, as unpaired translation needs them.
    """

    shape: tuple[int, int, int] = SHAPES[0]
    classes: int | None = None
    device: str = "cpu"
    paired: bool = False

    def __str__(self) -> str:
        channels = {1: "grey", 3: "RGB"}.get(self.shape[0], f"{self.shape[0]} channels")
        given = "" if self.classes is None else "-conditional"
        return f"{self.shape[1]}x{self.shape[2]}-{channels}{given}" + (
            "" if self.device == "cpu" else f"-{self.device}"
        )

    @property
    def condition(self) -> tuple[int, ...] | None:
        return None if self.classes is None else (self.classes,)

    def data(self) -> Data:
        """A small data set of images of this shape, with labels and attributes."""
        one = doubles.Dataset(shape=self.shape, classes=self.classes or CLASSES)
        return Data(Sources({"a": one, "b": one}) if self.paired else one, device=self.device)


class Subject:
    """The component under test.

    Attributes:
        kind, name: as in a spec. ``cls``: its class.
        component: its options, checked and completed as a spec's are.
        host: finds the components that it uses, and its partners in the checks.
        handed: the lists and mappings that builds were given as options, each with a copy from before.
        fitting: the first of the partners on offer that it took, by case.
    """

    def __init__(self, component: str | type, options: Mapping[str, Any]) -> None:
        self.host = _host(component)
        self.kind, self.name = _named(component, self.host)
        entry = self.host.find(self.kind, self.name)
        self.cls = self.host.resolve(entry)
        given = dict(options)
        for name, option in options_of(self.cls).items():
            # What has no default and is a component is played by a double.
            if option.required and name not in given:
                form = option.form.forms[0] if isinstance(option.form, OneOf) else option.form
                if isinstance(form, UseForm):
                    given[name] = f"{OWN}/double"
                elif isinstance(form, TrainedForm):
                    given[name] = "double"
        validator = Validator(self.host)
        node = Node.of({"use": self.name, **given}, Place(f"conformance({self})"))
        found = validator.component(node, self.kind, self.kind)
        if validator.problems or found is None:
            raise Mistakes(validator.problems)
        self.component: Component = found
        self.handed: list[tuple[Any, Any]] = []
        self.fitting: dict[Case, int] = {}

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    def given(self, case: Case) -> dict[str, Any]:
        """The positionals that a kind may be given, each made when asked for."""
        makers: dict[str, Callable[[], Any]] = {
            "shape": lambda: case.shape,
            "outputs": lambda: case.classes or CLASSES,
            "condition": lambda: case.condition,
            "features": lambda: FEATURES,
            "backbone": lambda: doubles.Backbone(case.shape),
            "data": case.data,
            "stage": lambda: doubles.stage(case.data(), case.condition),
            "duel": lambda: None,  # a regularizer is built by the duel it acts on
        }
        return {name: makers[name]() for name in KINDS[self.kind].given}

    def build(self, case: Case, seed: int = 0, given: tuple[Any, ...] | None = None, *, prepared: bool = True) -> Any:
        """The component, on the case's device; an extractor has then seen the data, where it asks for that."""

        def trained(reference: StageReference) -> torch.nn.Module:
            with fork_random(0):  # what an earlier stage trained is the same each time, like all that is given
                if reference.kinds == ("algorithm",):
                    return doubles.stage(case.data(), case.condition).algorithm
                return doubles.trained(reference.kinds[0], case.shape, case.classes or CLASSES)

        builder = _Builder(seed, trained)
        builder.handed = self.handed
        with fork_random(0):  # the doubles around it are the same each time: they are no part of its state
            given = tuple(self.given(case).values()) if given is None else given
            made = builder.build(self.component, *given)
        if isinstance(made, torch.nn.Module) and torch.get_default_device().type != "meta":
            place(made, torch.device(case.device))
            if prepared and self.kind == "extractor" and (prepare := getattr(made, "prepare", None)) is not None:
                prepare(case.data(), torch.Generator(case.device).manual_seed(0))
        return made

    def cases(self) -> list[Case]:
        """The cases it accepts: refusing a size or a condition with a ``ValueError`` is every component's right."""
        devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        if self.kind in ("dataset", "extractor", "loss", "optimizer", "tracker"):  # they are told nothing of shapes
            return [Case(device=device) for device in devices]
        conditions = (None, CLASSES) if "condition" in KINDS[self.kind].given else (None,)
        for shapes in (SHAPES, OTHER_SHAPES):
            for paired in (False, True) if "data" in KINDS[self.kind].given else (False,):
                tried = [Case(shape, classes, "cpu", paired) for shape in shapes for classes in conditions]
                if accepted := [case for case in tried if self._accepts(case)]:
                    return [replace(case, device=device) for case in accepted for device in devices]
        return [Case()]  # whose checks then show the refusal

    def _accepts(self, case: Case) -> bool:
        try:
            with torch.device("meta"):
                self.build(case)
        except Mistakes:
            return False
        except Exception:
            return True  # what is wrong is for the checks to tell
        return True


class _Builder(Builder):
    """Keeps what it hands to components, to see later whether they changed it."""

    handed: list[tuple[Any, Any]]

    def _value(self, value: Any) -> Any:
        made = super()._value(value)
        if isinstance(value, list | dict) and not _components_in(value):
            self.handed.append((made, copy.deepcopy(made)))
        return made


def _components_in(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_components_in(item) for item in value)
    if isinstance(value, dict):
        return any(_components_in(item) for item in value.values())
    return not isinstance(value, str | int | float | bool | None)


@dataclass(frozen=True)
class Check:
    """One check of one component in one case; call it. It raises ``ContractBroken``.

    Attributes:
        subject, case: what is checked.
        asks: what the contract asks. ``look``: where such a fault usually is. ``method``: which method to look at.
    """

    function: Callable[[Subject, Case], None]
    subject: Subject
    case: Case
    asks: str
    look: str
    method: str
    varied: bool = field(default=True)

    @property
    def __name__(self) -> str:  # what pytest calls it
        return self.function.__name__ + (f"-{self.case}" if self.varied else "")

    def __str__(self) -> str:
        return f"{self.subject}: {self.__name__}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __call__(self) -> None:
        try:
            self.function(self.subject, self.case)
        except unittest.SkipTest:
            raise
        except MissingData as error:
            skip(f"its data or weights are not there: {error}")
        except Broken as came:
            raise ContractBroken(self._told(str(came))) from None
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {' '.join(str(error).split())}, raised at {last.filename}:{last.lineno}"
            raise ContractBroken(self._told(said)) from error

    def _told(self, came: str) -> str:
        method = inspect.unwrap(getattr(self.subject.cls, self.method, self.subject.cls))
        place = where(method if hasattr(method, "__code__") else self.subject.cls)
        return (
            f"{self.subject} breaks its contract ({self.case})\n"
            f"  the contract asks: {self.asks}\n"
            f"  what came: {came}\n"
            f"  where to look: {place} {self.subject.cls.__name__}.{self.method}: {self.look}"
        )


class Suite:
    """The checks of some kinds, in the order they are written."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds
        self._made: list[tuple[Callable[[Subject, Case], None], str, str, str | Mapping[str, str], bool, tuple]] = []

    def check(
        self,
        asks: str,
        look: str,
        method: str | Mapping[str, str] = "__init__",
        *,
        varied: bool = True,
        kinds: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Subject, Case], None]], Callable[[Subject, Case], None]]:
        """Registers a check. ``varied``: in every case, else in the first; ``kinds``: of these kinds only."""

        def add(function: Callable[[Subject, Case], None]) -> Callable[[Subject, Case], None]:
            self._made.append((function, asks, look, method, varied, kinds or self.kinds))
            return function

        return add

    def checks(self, subject: Subject, cases: list[Case]) -> list[Check]:
        found: list[Check] = []
        for function, asks, look, method, varied, kinds in self._made:
            if subject.kind in kinds:
                named = method if isinstance(method, str) else method.get(subject.kind, "forward")
                chosen = cases if varied else cases[:1]
                found += [Check(function, subject, case, asks, look, named, len(cases) > 1) for case in chosen]
        return found


def _host(component: str | type) -> Host:
    """The host of the working folder, with the doubles and, where no plugin offers it, the class itself."""
    offered: dict[str, dict[str, Any]] = {kind: {"double": double} for kind, double in doubles.DOUBLES.items()}
    if isinstance(component, type):
        kind = kind_of(component)
        if kind is None:
            raise BrokenComponent(
                f"{where(component)}: {component.__name__} is of no kind; derive it from one of ganvas' base classes"
            )
        offered.setdefault(kind, {})[_kebab(component.__name__)] = component
    register(doubles.Plugin(offered), OWN)
    try:
        return Host(Path.cwd())
    finally:
        unregister(OWN)


def _named(component: str | type, host: Host) -> tuple[str, str]:
    if isinstance(component, type):
        kind = kind_of(component)
        assert kind is not None
        return kind, f"{OWN}/{_kebab(component.__name__)}"
    kind, slash, name = component.partition("/")
    if slash and kind in KINDS:
        return kind, name
    offering = [entry.kind for entry in host.entries() if component in (entry.name, f"{entry.plugin}/{entry.name}")]
    if len(set(offering)) == 1:
        return offering[0], component
    if not offering:
        raise BrokenComponent(f"there is no component {component!r}; write KIND/NAME, such as loss/hinge")
    raise BrokenComponent(
        f"{component!r} is of several kinds; write {' or '.join(f'{k}/{component}' for k in offering)}"
    )


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() and i else letter.lower() for i, letter in enumerate(name))
