"""From checked components to live ones, each built under a seed of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ganvas.kinds.data import Dataset, MissingData, Sources
from ganvas.kinds.options import Trained, Use
from ganvas.registry.documents import Mistakes, Problem
from ganvas.spec.validate import Component, GroupValue, StageReference

__all__ = ["Builder", "derived_seed", "fork_random"]


def derived_seed(*parts: object) -> int:
    """A 63-bit seed from anything with a stable text."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def fork_random(seed: int) -> Iterator[None]:
    """Torch's default generator under a seed; its state is as before afterwards."""
    kept = torch.random.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.random.set_rng_state(kept)


class Builder:
    """Builds components.

    Args:
        seed: of the stage; every build is seeded from it and from its path in the spec.
        trained: gives what a reference to an earlier stage means.
        checking: torch's own complaints (a size beyond its integers, say) are the user's mistakes too; where weights
            are really made they may as well be the machine's.
    """

    def __init__(
        self, seed: int, trained: Callable[[StageReference], Any] | None = None, *, checking: bool = False
    ) -> None:
        self.seed = seed
        self.trained = trained
        self.caught = (ValueError, RuntimeError, TypeError, OverflowError) if checking else (ValueError,)
        self.built: list[tuple[Component, Any]] = []

    def build(self, component: Component, *given: Any, call: int = 0) -> Any:
        """One component. A ``ValueError`` of its ``__init__`` is the user's mistake: ``Mistakes`` with its place."""
        options = {name: self._value(value) for name, value in component.options.items()}
        # The stage's name is left out of the seed: renaming a stage must not change what it trains.
        where = component.path.split(".", 2)[2:] if component.path.startswith("stages.") else component.path
        with fork_random(derived_seed(self.seed, where, call)):
            try:
                made = component.cls(*given[: component.given], **options)
            except (Mistakes, MissingData):
                raise
            except self.caught as error:
                said = " ".join(str(error).split())
                if not isinstance(error, ValueError):
                    too_large = "verflow" in said  # the rest of that message is torch's own stack
                    said = "a number is too large for torch" if too_large else said[:200]
                    said = f"it cannot be built with these options: {said}"
                raise Mistakes([Problem(component.place, component.path, said)]) from error
        made.component_name = component.name
        self.built.append((component, made))
        return made

    def dataset(self, spec: Component | dict[str, Component]) -> Dataset:
        """A dataset, or several named sources as one."""
        if isinstance(spec, dict):
            return Sources({name: self.build(part) for name, part in spec.items()})
        return self.build(spec)

    def _value(self, value: Any) -> Any:
        match value:
            case Component():
                options = (value.cls, value.name, value.options, value.path)
                return Use(*options, lambda use, call, given: self.build(value, *given, call=call))
            case StageReference(files=Path() as files):
                return files
            case StageReference():
                if self.trained is None:
                    raise Mistakes([Problem(value.place, value.path, "nothing is trained here")])
                return Trained(self.trained(value), value.origin)
            case GroupValue():
                return {name: self._value(inner) for name, inner in value.options.items()}
            case list():
                return [self._value(inner) for inner in value]
            case tuple():
                return tuple(self._value(inner) for inner in value)
            case dict():
                return {name: self._value(inner) for name, inner in value.items()}
        return value
