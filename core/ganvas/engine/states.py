"""Saved states: a tree of tensors and plain values in one safetensors file, with a checksum, written atomically.

No pickle anywhere: a state from a stranger cannot run code.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganvas.engine.errors import BrokenState
from ganvas.engine.files import write_atomically

__all__ = ["digest", "load", "save"]

FORMAT = "ganvas-state-1"


def save(path: Path, tree: Any) -> None:
    """Writes a tree of dicts, lists, tensors, numbers, strings and None. Raises ``ResourceError`` for a full disk."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_pack(tree, "", tensors))
    metadata = {"format": FORMAT, "skeleton": skeleton, "checksum": _checksum(skeleton, tensors)}
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def digest(tree: Any) -> str:
    """Tells a tree from every other."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_pack(tree, "", tensors))
    return _checksum(skeleton, tensors)


def load(path: Path, device: torch.device | str = "cpu") -> Any:
    """Reads a tree. Raises ``BrokenState`` for a file that is damaged or is none of ours."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise BrokenState(f"there is no file {path}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise BrokenState(f"{path} is damaged ({error})") from None
    if metadata.get("format") != FORMAT:
        raise BrokenState(f"{path} was not written by this version of ganvas")
    skeleton = metadata.get("skeleton", "")
    if _checksum(skeleton, tensors) != metadata.get("checksum"):
        raise BrokenState(f"{path} is damaged (its checksum does not fit)")
    return _unpack(json.loads(skeleton), tensors, torch.device(device))


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    match value:
        case Tensor():
            name = path or "tensor"
            while name in tensors:  # {"a.b": …} beside {"a": {"b": …}}
                name += "'"
            # A copy of its own: safetensors refuses shared memory, and a tied weight is saved twice, not lost.
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
            return {"t": name}
        case dict() if all(key is None or isinstance(key, (str, int, float)) for key in value):
            packed = [
                [key, _pack(inner, f"{path}.{key}" if path else str(key), tensors)] for key, inner in value.items()
            ]
            return {"d": packed}
        case list() | tuple():
            items = [_pack(inner, f"{path}.{index}", tensors) for index, inner in enumerate(value)]
            return {"l" if isinstance(value, list) else "u": items}
        case None | bool() | int() | float() | str():
            return {"v": value}
    what = "dict with keys that are not plain" if isinstance(value, dict) else type(value).__name__
    raise TypeError(
        f"the state {path!r} holds a {what}; "
        "get_extra_state may give tensors, numbers, strings and dicts or lists of them"
    )


def _unpack(packed: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> Any:
    ((kind, value),) = packed.items()
    match kind:
        case "t":
            return tensors[value].to(device)
        case "d":
            return {key: _unpack(inner, tensors, device) for key, inner in value}
        case "l":
            return [_unpack(inner, tensors, device) for inner in value]
        case "u":
            return tuple(_unpack(inner, tensors, device) for inner in value)
    return value


def _checksum(skeleton: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(skeleton.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        if tensor.numel():
            digest.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))  # pyright: ignore[reportArgumentType]
    return digest.hexdigest()
