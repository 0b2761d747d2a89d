"""Classes and attributes by name and number: what the conditions that are made of them share."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganvas import Data

__all__ = ["named_index", "one_hot", "require", "unknown"]

FIELDS = ("labels", "attributes")


def require(field: str, data: Data) -> None:
    """Raises ``ValueError``, with the condition to use instead, where the data have no ``labels`` or ``attributes``."""
    offered = [name for name in FIELDS if name in data.fields]
    if not offered:
        raise ValueError("the data have neither labels nor attributes; use the condition clusters, or none")
    if field not in offered:
        raise ValueError(f"the data have no {field}, only {offered[0]}; use the condition {offered[0]}")


def one_hot(indices: Tensor, number: int) -> Tensor:
    """(N,) -> float (N, number); compared rather than scattered, so that no value has to be checked on the device."""
    return indices.unsqueeze(1).eq(torch.arange(number, device=indices.device)).float()


def named_index(value: Any, names: Sequence[str], what: str) -> int:
    """The number of a class that is given by name or number."""
    if isinstance(value, str):
        if value in names:
            return list(names).index(value)
        if not value.isdecimal():
            raise unknown(value, names, what)
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no {what}; give its number (0 to {len(names) - 1}) or its name")
    if not 0 <= value < len(names):
        raise ValueError(f"there is no {what} {value}; they go from 0 to {len(names) - 1}")
    return value


def unknown(value: str, names: Sequence[str], what: str) -> ValueError:
    """The error for a name that is none of ``names``."""
    close = difflib.get_close_matches(value, names, 1)
    remedy = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
    return ValueError(f"no {what} is called {value!r}; {remedy}")
