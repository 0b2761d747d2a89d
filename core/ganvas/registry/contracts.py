"""Whether a class keeps to the contract of the kind that it is registered as: every mistake at once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ganvas.registry.bases import BrokenComponent, contract_of, kind_of
from ganvas.registry.documents import with_article
from ganvas.registry.hooks import implementations, where
from ganvas.registry.signature import alternatives, given_to, options_of

__all__ = ["check_component"]


def check_component(component: Any, kind: str) -> tuple[str, ...]:
    """What is wrong with a class that is registered as a kind, each with file and line and what to write instead."""
    if isinstance(component, type):
        return _check_class(component, kind)
    name = getattr(component, "__name__", repr(component))
    return (f"{where(component)}: {name} is no class: derive one from ganvas.{contract_of(kind).__name__}",)


@functools.cache
def _check_class(component: type, kind: str) -> tuple[str, ...]:
    contract = contract_of(kind)
    mistakes: list[str] = []
    if not issubclass(component, contract):
        mistakes.append(f"{where(component)}: {_foreign(component, contract)}")
    else:
        mistakes += _left_out(component, kind)
        mistakes += _asked(lambda: given_to(component, kind))
    mistakes += _asked(lambda: options_of(component))
    mistakes += implementations(component)[1]  # a tracker's methods are hooks
    return tuple(mistakes)


def _asked(question: Callable[[], object]) -> tuple[str, ...]:
    try:
        question()
    except BrokenComponent as error:
        return error.mistakes
    return ()


def _foreign(component: type, contract: type) -> str:
    other = kind_of(component)
    if other is None:
        return f"{component.__name__} is not a {contract.__name__}: derive it from ganvas.{contract.__name__}"
    is_a = f"{component.__name__} is a {contract_of(other).__name__}, not a {contract.__name__}"
    return f"{is_a}: register it as {with_article(other)}"


def _left_out(component: type, kind: str) -> list[str]:
    names = [name for name in dir(component) if _abstract(inspect.getattr_static(component, name))]
    if not names:
        return []
    calls = [name if isinstance(inspect.getattr_static(component, name), property) else f"{name}()" for name in names]
    lacking = alternatives(calls).replace(" or ", " and ")
    return [f"{where(component)}: {component.__name__} leaves out {lacking}, which {with_article(kind)} must have"]


def _abstract(member: Any) -> bool:
    return bool(getattr(member, "__isabstractmethod__", False))
