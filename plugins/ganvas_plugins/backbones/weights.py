"""Weights from files: read without running code, and fitted to a network."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from ganvas import MissingData

NESTED = ("state_dict", "model")  # where training scripts keep a network's tensors in a checkpoint


def load(network: nn.Module, path: Path, prefix: str = "", without: tuple[str, ...] = ()) -> None:
    """Loads a file into a network; where the network has no storage (meta device), only looks whether it fits.

    Args:
        path: safetensors, or what ``torch.save`` made of a state dict or of a checkpoint that holds one.
        prefix: what stands before the names of the network's tensors; others are left out.
        without: names of layers that the network lacks on purpose (its classification layer).

    Raises:
        MissingData: there is no such file, or it cannot be read.
        ValueError: its tensors are not those of the network, or it holds more than tensors.
    """
    own, found = network.state_dict(), read(path)
    ordered = path.suffix != ".safetensors"  # those are sorted by name
    state = fitted(own, below(found, prefix, without), ordered=ordered)
    if state is None:
        starts = sorted({key[: place + 1] for key in found for place, letter in enumerate(key) if letter == "."} | {""})
        fits = [start for start in starts if fitted(own, below(found, start, without), ordered=ordered) is not None]
        raise ValueError(_misfit(own, below(found, prefix, without), path, prefix, fits))
    if not any(tensor.is_meta for tensor in own.values()):
        network.load_state_dict(state)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by name."""
    if not path.is_file():
        raise MissingData(f"no weights at {path}; put the file there or correct the backbone's option weights")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"the weights at {path} come with other objects{_others(path)}, and reading those runs code; if you trust "
            f"the file, keep its tensors: torch.save(torch.load({str(path)!r}, weights_only=False)['state_dict'], "
            f"'weights.pth')"
        ) from error
    except (EOFError, OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise MissingData(f"cannot read the weights at {path}: {str(error).partition(chr(10))[0]}") from error
    for name in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    tensors = content.items() if isinstance(content, Mapping) else ()
    return {name: tensor for name, tensor in tensors if isinstance(tensor, Tensor)}


def below(found: Mapping[str, Tensor], prefix: str, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it, and without those of some layers."""
    names = {key.removeprefix(prefix): key for key in found if key.startswith(prefix)}
    layers = tuple(f"{layer}." for layer in without)
    return {name: found[key] for name, key in names.items() if not name.startswith(layers)}


def fitted(own: Mapping[str, Tensor], found: Mapping[str, Tensor], *, ordered: bool = True) -> dict[str, Tensor] | None:
    """The tensors found under the network's own names, or None where they do not fit.

    They fit by name, or else by place: a wrapper numbers the layers and a port renames them, but either lists the same
    sorts of tensors (``weight``, ``running_mean``, ...) of the same shapes in the same order.
    """
    if own.keys() == found.keys():
        state = {name: found[name] for name in own}
    elif ordered and [_sort(name) for name in own] == [_sort(name) for name in found]:
        state = dict(zip(own, found.values()))
    else:
        return None
    return state if all(own[name].shape == tensor.shape for name, tensor in state.items()) else None


def _sort(name: str) -> str:
    return name.rpartition(".")[2]


def _misfit(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, prefix: str, fits: list[str]) -> str:
    parts = {
        "missing": sorted(own.keys() - found.keys()),
        "not in the model": sorted(found.keys() - own.keys()),
        "of another shape": sorted(key for key in own.keys() & found.keys() if own[key].shape != found[key].shape),
    }
    listed = "; ".join(f"{what}: {_listed(keys)}" for what, keys in parts.items() if keys)
    where = f" under the prefix {prefix!r}" if prefix else ""
    remedy = f"they do with prefix: {' or '.join(map(repr, fits))}" if fits else "check model, stem and prefix"
    return f"the weights at {path}{where} do not fit this model ({listed}); {remedy}"


def _listed(keys: list[str], most: int = 5) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def _others(path: Path) -> str:
    """The classes in a file that are no tensors, as far as its format tells."""
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (ValueError, pickle.UnpicklingError):
        return ""
    return f" ({_listed(names)})" if names else ""
