"""A training in a process of its own that is killed (SIGKILL) at a chosen moment. Imported by path in test_resume."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def train(spec: str, runs: str, moment: dict[str, Any] | None, overrides: dict[str, Any] | None = None) -> None:
    """Trains; ``moment`` says when to die."""
    torch.set_num_threads(1)
    import ganvas

    arm(moment)
    ganvas.train(spec, runs=runs, overrides=overrides, device="cpu")


def arm(moment: Mapping[str, Any] | None) -> None:
    """Lets this process die at a moment.

    ``{"draw": n}``: inside the iteration that draws the n-th batch of this process; ``"signal"`` beside it is sent
    instead, and the process lives on;
    ``{"write": n, "where": "half" | "before" | "after"}``: at the n-th file that is written atomically, with half of it
    on the disk, before it is renamed, or right after.
    """
    from ganvas.engine import batches, states

    counts = {"draw": 0, "write": 0}
    moment = moment or {}

    def die() -> None:
        os.kill(os.getpid(), moment.get("signal", signal.SIGKILL))

    draw, write = batches.Batches.draw, states.write_atomically

    def counted_draw(self: Any, *given: Any, **named: Any) -> Any:
        counts["draw"] += 1
        if counts["draw"] == moment.get("draw"):
            die()
        return draw(self, *given, **named)

    def counted_write(path: Path, content: bytes) -> None:
        # Only the files of the state: the records beside them are written at the start.
        if path.suffix == ".safetensors":
            counts["write"] += 1
            if counts["write"] == moment.get("write"):
                aside = path.with_name(f".{path.name}.{os.getpid()}.part")
                if moment["where"] == "half":
                    aside.write_bytes(content[: len(content) // 2])
                    die()
                if moment["where"] == "before":
                    aside.write_bytes(content)
                    die()
                write(path, content)
                die()
        write(path, content)

    batches.Batches.draw = counted_draw  # type: ignore[method-assign]
    states.write_atomically = counted_write


def assert_same(one: object, other: object, path: str = "") -> None:
    """Equal to the bit, all the way down."""
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor), path
        assert one.dtype == other.dtype, path
        assert torch.equal(one, other), f"{path} differs"
    elif isinstance(one, dict):
        assert isinstance(other, dict), path
        assert list(one) == list(other), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path  # type: ignore[arg-type]
        for index, (a, b) in enumerate(zip(one, other)):  # type: ignore[call-overload]
            assert_same(a, b, f"{path}[{index}]")
    else:
        assert one == other, f"{path}: {one} != {other}"
