"""The types an option of a component may have besides Python's own: ``Use``, ``Trained`` and ``Scheduled``.

They are all the engine needs to build the tree of components, to order the stages and to know what depends on what.
No torch here: annotations are read before anything is trained.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Group", "Incidental", "Position", "Progress", "Scheduled", "Trained", "Use"]

K = TypeVar("K")


class Position(Protocol):
    """Where training stands: all that a scheduled value may depend on."""

    @property
    def index(self) -> int:
        """Iterations done."""
        ...

    @property
    def images(self) -> int:
        """Images seen."""
        ...

    @property
    def progress(self) -> float:
        """Share of the stage's steps done, in [0, 1). Reading it makes the training depend on its length."""
        ...


class Progress(float):
    """The share of a stage's steps done, in [0, 1): a number, and the position that a ``Scheduled`` is read at."""

    def __new__(cls, position: Position) -> Progress:
        made = super().__new__(cls, position.progress)
        made.index, made.images = position.index, position.images
        return made

    index: int
    images: int

    @property
    def progress(self) -> float:
        return float(self)


class Use(Generic[K]):
    """An option that is itself a component: ``head: Use[Head] = "linear"``.

    In the spec it is a name, or a mapping with ``use:`` and options. In ``__init__`` it arrives as a callable that
    takes the positionals of its kind: ``self.head = head(features, condition)``. Each call builds anew, under a seed
    made from (seed of the stage, path in the spec, number of the call), so the order of building changes nothing.

    Attributes:
        component: the component's class.
        name: its name in the spec.
        options: its validated options.
        path: where it stands in the spec.
    """

    def __init__(
        self, component: type[K], name: str, options: Mapping[str, Any], path: str, build: Callable[..., K]
    ) -> None:
        self.component = component
        self.name = name
        self.options = options
        self.path = path
        self._build = build
        self._calls = 0

    def __call__(self, *given: Any) -> K:
        call = self._calls
        self._calls += 1
        return self._build(self, call, given)

    def __repr__(self) -> str:
        return f"Use({self.name!r} at {self.path})"


class Trained(Generic[K]):
    """An option that an earlier stage trained: ``encoder: Trained[Encoder]``; in the spec, that stage's name.

    It behaves like the network it holds (call it, read its attributes), but it is frozen: eval for ever, no parameter
    asks for a gradient, gradients pass through. It is not an ``nn.Module``, so assigning it to an attribute of one adds
    nothing to that module's ``parameters()`` or ``state_dict()``.

    Attributes:
        origin: what the spec calls it: the stage, ``stage.part``, or a folder's name.
    """

    def __init__(self, module: K, origin: str = "") -> None:
        module.eval().requires_grad_(False)  # type: ignore[attr-defined]
        object.__setattr__(self, "_module", module)
        self.origin = origin

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._module(*given, **named)

    def __getattr__(self, name: str) -> Any:
        if name in ("_module", "train", "requires_grad_", "__setstate__"):
            raise AttributeError(f"a trained component is frozen: it has no {name!r} (take a .copy() to train it)")
        return getattr(self._module, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Trained[K]:
        return self

    def copy(self) -> K:
        """Returns a copy that can be trained; the original stays as it is."""
        module = copy.deepcopy(self._module)
        module.train().requires_grad_(True)
        return module


_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "cosine": lambda t: 0.5 - 0.5 * math.cos(math.pi * t),
}


@dataclass(frozen=True)
class Scheduled:
    """A number that may change while training, a pure function of the position.

    In the spec it is one of

    - a number;
    - ``{from: 0.99, to: 1.0, shape: cosine}``: moves from one value to the other, ``linear``, ``cosine`` or
      ``exponential``, over the whole stage, or over a span of its own (``over: {images: 20000000}`` or
      ``over: {iterations: 1000}``), after which it stays. ``hold: 0.5`` keeps the first value for that share of the
      span; ``warm_up: 0.1`` rises linearly from zero during that share;
    - ``{value: 5, first: [25, 100], every: [500, 100]}``: 5, but 100 in the first 25 iterations and in every 500th
      one (the critic steps of WGAN's reference implementation, 2017).

    Read it with ``.at(step)``; a bound on the option (``Field(gt=0)``) holds for every number in it. An option that
    must stay whole is declared with ``Field(multiple_of=1)`` and rounded where it is read.
    """

    value: float
    to: float | None = None
    shape: str = "linear"
    over: tuple[str, int] | None = None
    hold: float = 0.0
    warm_up: float = 0.0
    first: tuple[int, float] | None = None
    every: tuple[int, float] | None = None

    @property
    def constant(self) -> bool:
        return self.to is None and self.first is None and self.every is None and self.warm_up == 0

    @classmethod
    def of(cls, value: float | Scheduled) -> Scheduled:
        """Wraps a plain number, for components that are built in Python without a spec."""
        return value if isinstance(value, Scheduled) else cls(value)

    def at(self, position: Position) -> float:
        if self.first is not None and position.index < self.first[0]:
            return self.first[1]
        if self.every is not None and position.index % self.every[0] == 0:
            return self.every[1]
        if self.to is None and self.warm_up == 0:
            return self.value
        if self.over is None:
            share = position.progress
        else:
            done = position.images if self.over[0] == "images" else position.index
            share = min(1.0, done / self.over[1])
        if share < self.warm_up:
            return self.value * share / self.warm_up
        start = max(self.hold, self.warm_up)
        if self.to is None or share <= start:
            return self.value
        share = (share - start) / (1 - start)
        if self.shape == "exponential":
            return self.value * (self.to / self.value) ** share
        return self.value + (self.to - self.value) * _SHAPES[self.shape](share)

    def plain(self) -> Any:
        """The schedule as it would stand in a spec; a constant as a number."""
        if self.constant:
            return self.value
        if self.to is None and not self.warm_up:
            plain: dict[str, Any] = {"value": self.value}
        else:
            plain = {"from": self.value}
            plain |= {"to": self.to, "shape": self.shape} if self.to is not None else {"to": self.value}
            plain |= {"over": {self.over[0]: self.over[1]}} if self.over else {}
            plain |= {name: getattr(self, name) for name in ("hold", "warm_up") if getattr(self, name)}
        plain |= {name: list(getattr(self, name)) for name in ("first", "every") if getattr(self, name)}
        return plain


class Incidental:
    """Marks an option that changes how a component works, but no value it gives.

    ``Annotated[bool, Incidental, Field(…)]``: it is no part of a run's key (nor is any option that is a path: the
    content's digest stands for it).
    """


class Group:
    """Options that stand together under one key, without being a component: ``checkpoint: {every: 5m, keep: 2}``.

    A class that derives from it declares them as the keyword-only arguments of its ``__init__``, as a component does.
    """
