"""The base classes of the kinds, and what is raised for a component that does not keep to one."""

from __future__ import annotations

import importlib

from ganvas.kinds import KINDS

__all__ = ["BrokenComponent", "contract_of", "kind_of"]


class BrokenComponent(Exception):
    """A component that cannot be used: not found, not importable, or against its kind's contract.

    ``str()`` is one line per mistake; ``mistakes`` has them singly.
    """

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def contract_of(kind: str) -> type:
    """The base class of a kind."""
    module, _, attribute = KINDS[kind].contract.partition(":")
    return getattr(importlib.import_module(module), attribute)


def kind_of(contract: type) -> str | None:
    """The kind that a class is a contract of, or derives from."""
    declared = {kind.contract: kind.name for kind in KINDS.values()}
    for base in getattr(contract, "__mro__", ()):
        if (name := declared.get(f"{base.__module__}:{base.__qualname__}")) is not None:
            return name
    return None
