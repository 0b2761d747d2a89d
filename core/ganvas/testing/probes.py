"""What checks of several kinds look at: seeds, options, devices, state, and a training that resumes."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganvas.testing import doubles
from ganvas.testing.suite import Broken, Subject, skip

__all__ = [
    "follows_devices",
    "hidden",
    "listed",
    "options_stay",
    "resumes",
    "seed_everything",
    "seeded_states",
    "tensors_of",
]


def seed_everything(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed)
    numpy.random.seed(seed)
    random.seed(seed)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


def listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def seeded_states(run: Callable[[], Any]) -> None:
    """Raises ``Broken`` if a global generator stands at one place after ``run``, wherever it stood before."""
    after: list[list[Any]] = []
    before = (torch.random.get_rng_state(), numpy.random.get_state(), random.getstate())
    try:
        for seed in (11, 12):
            seed_everything(seed)
            run()
            after.append([torch.random.get_rng_state().tolist(), str(numpy.random.get_state()), random.getstate()])
    finally:
        torch.random.set_rng_state(before[0])
        numpy.random.set_state(before[1])
        random.setstate(before[2])
    for whose, first, second in zip(("torch's", "numpy's", "Python's"), *after):
        if first == second:
            raise Broken(f"{whose} global generator stands at the same place whatever its seed was: something seeds it")


def options_stay(subject: Subject, run: Callable[[], Any]) -> None:
    """Raises ``Broken`` if ``run`` changes the lists and mappings that the component was given."""
    subject.handed.clear()
    run()
    for value, before in subject.handed:
        if value != before:
            raise Broken(f"an option was {before} and became {value}")


def hidden(module: nn.Module) -> list[str]:
    """Attributes that hold tensors or networks where neither ``parameters()`` nor ``state_dict()`` see them."""
    found = []
    for prefix, inner in module.named_modules():
        for name, value in vars(inner).items():
            if name.startswith("_") and name in nn.Module().__dict__:
                continue
            held = (
                list(value.values())
                if isinstance(value, dict)
                else list(value)
                if isinstance(value, list | tuple)
                else [value]
            )
            if any(isinstance(item, Tensor | nn.Module) for item in held):
                found.append(f"{prefix}.{name}" if prefix else name)
    return found


def follows_devices(run: Callable[[], Mapping[str, Tensor]]) -> None:
    """Runs what lies on torch's meta device, which is as far from the CPU as an accelerator; raises ``Broken``."""
    try:
        with _OneDevice():
            made = run()
    except Broken:
        raise
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        said = " ".join(str(error).split())
        if any(word in said for word in ("CUDA", "cuda", "NVIDIA", "expected device", "Cannot copy out")):
            raise Broken(f"on a device that is not the CPU: {said[:200]}") from error
        skip(f"values are read while it runs, which only a real accelerator can show: {said[:120]}")
        return
    for name, value in made.items():
        if value.device.type != "meta":
            raise Broken(f"the {name} are on the {value.device.type}, the inputs and the weights are not")


class _OneDevice(TorchFunctionMode):
    """Tensors of several devices do not meet in one operation (numbers may be anywhere)."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [item for item in _items((args, kwargs)) if isinstance(item, Tensor) and item.dim() > 0]
        devices = {tensor.device.type for tensor in tensors}
        if len(devices) > 1:
            name = getattr(function, "__name__", str(function))
            lost = next(tensor for tensor in tensors if tensor.device.type != "meta")
            raise Broken(
                f"{name}() meets a tensor {tuple(lost.shape)} on the {lost.device.type}, but the inputs and the "
                "weights are on another device"
            )
        return function(*args, **kwargs)


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _items(item)
    elif isinstance(value, dict):
        yield from _items(list(value.values()))
    else:
        yield value


class _Stopped(Exception):
    """Ends a training in its middle."""


def resumes(make: Callable[[int], Any], **options: Any) -> None:
    """Four iterations in a row against four with a stop after two, in a fresh instance then; raises ``Broken``."""

    def stop(index: int, path: Path) -> None:
        if index == 2:
            raise _Stopped

    with tempfile.TemporaryDirectory() as name:
        through = make(0)
        start = {key: value.clone() for key, value in tensors_of(through).items()}
        doubles.training(through, 4, Path(name) / "through", **options)
        # Stopped, not ended: schedules and progress look at the whole length.
        with contextlib.suppress(_Stopped):
            doubles.training(make(0), 4, Path(name) / "stopped", checkpoint_every=2, saved=stop, **options)
        resumed = doubles.training(make(1), 4, Path(name) / "stopped", **options)
    there, here = tensors_of(through), tensors_of(resumed)
    moved = [key for key in there if key not in start or not torch.equal(there[key], start[key])]
    if not moved:
        raise Broken("four iterations changed nothing")
    wrong = [key for key in there if there[key].is_floating_point() and not there[key].isfinite().all()]
    if wrong:
        raise Broken(f"after four iterations {listed(wrong)} is infinite or no number")
    unlike = [key for key in there if key not in here or not torch.equal(there[key], here[key])]
    if unlike:
        kept = hidden(through)
        names = f"; outside the state are {', '.join(kept)}" if kept else ""
        raise Broken(f"a resumed training ends with another {listed(unlike)}{names}")
