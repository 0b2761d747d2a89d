"""A sweep: its members trained by a pool of processes, each of which is ``ganvas sweep SPEC --only I``."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ganvas.engine.errors import Stopped
from ganvas.engine.signals import Signals
from ganvas.kinds.data import Data, MissingData
from ganvas.registry.documents import Mistakes, Place, Problem
from ganvas.runs.api import choose_device
from ganvas.runs.checking import check_members
from ganvas.runs.experiment import Reporter, Session
from ganvas.runs.folders import StageFolder
from ganvas.spec.experiment import Experiment

__all__ = ["Display", "Member", "devices_of", "member_text", "members_of", "only_member", "plan", "train_members"]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TOLD = 40  # lines of a member that are kept, to be shown where it fails


@dataclass
class Member:
    """One member of a sweep as it is trained.

    Attributes:
        command: trains it.
        keys: of its stages that are not trained yet; none where there is nothing to do.
        status: of its process; None before it ended. said: its last lines.
    """

    number: int
    text: str
    command: list[str]
    keys: frozenset[str] = frozenset()
    status: int | None = None
    begun: float | None = None
    ended: float = 0.0
    stopped: bool = False
    said: deque[str] = field(default_factory=lambda: deque(maxlen=TOLD))

    @property
    def seconds(self) -> float:
        """How long it ran so far."""
        return 0.0 if self.begun is None else (self.ended or time.monotonic()) - self.begun

    @property
    def outcome(self) -> str:
        """How it came out, in words."""
        if self.status is None:
            return "not started"
        if self.begun is None:
            return "trained already"
        if self.status == 0:
            return f"trained in {self.seconds:.0f} s"
        if self.stopped:
            return "stopped; the same command goes on from there"
        if self.status < 0:
            name = signal.Signals(-self.status).name
            return f"failed: killed by {name}" + (", out of memory perhaps" if name == "SIGKILL" else "")
        reason = f": {self.said[-1]}" if self.said else ""
        return f"failed with exit status {self.status}{reason}"


class Display:
    """What a user sees of a sweep; this one is silent. The command line has its own."""

    def started(self, member: Member) -> None:
        """A member's process was started."""

    def line(self, member: Member, line: str) -> None:
        """A member said something."""

    def ended(self, member: Member) -> None:
        """A member's process ended."""

    def refresh(self) -> None:
        """Called many times a second."""


def members_of(experiment: Experiment) -> list[Experiment]:
    """The members of a spec's sweep. Raises ``Mistakes`` where it has none."""
    if not experiment.members:
        message = "there is nothing to sweep; add sweep: {stages.gan.loss: [hinge, wasserstein]}, say"
        raise Mistakes([Problem(Place(experiment.shown), "", message)])
    return experiment.members


def only_member(experiment: Experiment, spec: str, number: int) -> Experiment:
    """One member by its number. Raises ``Mistakes``."""
    members = members_of(experiment)
    if not 0 <= number < len(members):
        message = f"there are {len(members)} members, 0 to {len(members) - 1}; `ganvas sweep {spec} --list` shows them"
        raise Mistakes([Problem(Place(f"--only {number}"), "", message)])
    return members[number]


def devices_of(device: str) -> list[str]:
    """What ``--device`` means to several jobs: ``auto`` is every accelerator there is. Raises ``ResourceError``."""
    chosen = choose_device(device)
    count = torch.cuda.device_count() if device == "auto" and chosen.type == "cuda" else 0
    return [f"cuda:{index}" for index in range(count)] or [str(chosen)]


def plan(experiment: Experiment, spec: str, settings: Sequence[str], runs: Path, seconds: float = 60.0) -> list[Member]:
    """Checks every member as ``train`` would, and finds what is left to train. Raises ``Mistakes``, ``MissingData``."""
    data: dict[str, Data] = {}
    sessions = [Session(one, runs, torch.device("cpu"), Reporter(), data) for one in members_of(experiment)]
    trained = {id(session.experiment): session.trained for session in sessions}
    missing = check_members(experiment, lambda member: trained[id(member)])
    if missing:
        raise MissingData("\n".join(missing))
    again = [sys.executable, "-m", "ganvas", "sweep", spec, "--runs", str(runs), "--seconds", str(seconds)]
    again += [word for setting in settings for word in ("--set", setting)]
    planned = []
    for number, session in enumerate(sessions):
        session.find()
        stages = session.experiment.stages
        keys = frozenset(session.keys[name] for name in stages if name not in session.folders)
        lacking = any(
            session.unmeasured(stages[name], StageFolder.open(path)) for name, path in session.folders.items()
        )
        text = member_text(experiment, session.experiment)
        status = None if keys or lacking else 0
        planned.append(Member(number, text, [*again, "--only", str(number)], keys, status))
    return planned


def member_text(experiment: Experiment, member: Experiment) -> str:
    """``gan.loss=hinge, seed=1``: what a member chose of the sweep."""
    return ", ".join(str(choice) for choice in member.chosen if choice not in experiment.chosen)


def train_members(members: Sequence[Member], jobs: int, devices: Sequence[str], display: Display) -> int:
    """Trains what is left to train, ``jobs`` at a time. A member that fails does not stop the others.

    Args:
        devices: taken in turn by what runs at the same time.

    Returns:
        The exit status: that of the first member that failed, else 0.

    Raises:
        Stopped: by a signal; every running member got it, saved its state and ended.
    """
    waiting = [member for member in members if member.status is None]
    running: dict[int, tuple[Member, subprocess.Popen[str]]] = {}
    told: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    passed = False
    try:
        with Signals() as signals:
            while running or (waiting and not signals.received):
                # Start what there is room for.
                while waiting and not signals.received and len(running) < jobs:
                    # First of all a member that needs nothing that is being trained: another would wait for it.
                    busy = frozenset[str]().union(*(member.keys for member, _ in running.values()))
                    member = min(waiting, key=lambda one: len(one.keys & busy))
                    waiting.remove(member)
                    slot = next(slot for slot in range(jobs) if slot not in running)
                    running[slot] = (member, _start(member, jobs, devices[slot % len(devices)]))
                    threading.Thread(target=_listen, args=(slot, running[slot][1], told), daemon=True).start()
                    display.started(member)

                # Pass a signal on.
                if signals.received and not passed:
                    passed = True
                    for _, process in running.values():
                        process.send_signal(signals.received)

                # Hear what the members say; None is the end of one.
                display.refresh()
                with suppress(queue.Empty):
                    slot, line = told.get(timeout=0.1)
                    member, process = running[slot]
                    if line is not None:
                        member.said.append(line)
                        display.line(member, line)
                        continue
                    member.status, member.ended = process.wait(), time.monotonic()
                    member.stopped = member.status != 0 and (passed or member.status in (75, 130))
                    del running[slot]
                    display.ended(member)
    finally:
        for _, process in running.values():
            process.kill()
    if signals.received:
        done = sum(member.status == 0 for member in members)
        name = signal.Signals(signals.received).name
        raise Stopped(signals.received, f"{name} with {done} of {len(members)} members trained")
    failed = [member.status for member in members if member.status]
    return 0 if not failed else failed[0] if failed[0] > 0 else 1


def _start(member: Member, jobs: int, device: str) -> subprocess.Popen[str]:
    member.begun = time.monotonic()
    variables = dict(os.environ)
    if jobs > 1:  # threads of several jobs on one core are slower than one after the other
        each = max(1, len(os.sched_getaffinity(0)) // jobs) if hasattr(os, "sched_getaffinity") else 1
        variables = dict.fromkeys(THREADS, str(each)) | variables
    # A group of its own: Ctrl-C on the terminal reaches only this process, which passes it on once.
    return subprocess.Popen(
        [*member.command, "--device", device],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
    )


def _listen(slot: int, process: subprocess.Popen[str], told: queue.SimpleQueue[tuple[int, str | None]]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        told.put((slot, line.rstrip()))
    process.wait()
    told.put((slot, None))
