"""A sweep's members: who is trained when, what a failure or a signal does to the others."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ganvas.engine.errors import ResourceError, Stopped
from ganvas.kinds.data import MissingData
from ganvas.registry.documents import Mistakes
from ganvas.runs.api import read
from ganvas.runs.experiment import Reporter, train_experiment
from ganvas.runs.sweep import Display, Member, devices_of, only_member, plan, train_members

SPEC = """
name: small
dataset: {use: digits}
stages:
  attributes: {use: classifier, steps: 2, batch_size: 16}
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    condition: labels
    regularizers: [{use: classification, classifier: attributes}]
    steps: 2
    batch_size: 8
sweep:
  stages.gan.loss: [hinge, wasserstein]
"""


class Listener(Display):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, member: Member) -> None:
        self.lines.append(f"{member.number} started")

    def line(self, member: Member, line: str) -> None:
        self.lines.append(f"{member.number} {line}")

    def ended(self, member: Member) -> None:
        self.lines.append(f"{member.number} ended")


def members(*codes: str, keys: tuple[str, ...] = ()) -> list[Member]:
    """Members that run Python code instead of a training."""
    found = [Member(i, f"seed={i}", [sys.executable, "-S", "-c", code]) for i, code in enumerate(codes)]
    for member, key in zip(found, keys):
        member.keys = frozenset(key)
    return found


def say(text: str, then: str = "") -> str:
    return f"import os, signal, sys, time; print({text!r}, file=sys.stderr, flush=True); {then}"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def test_a_failed_member_does_not_stop_the_others() -> None:
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    some = members(say("one"), say("two"), say("gone", "sys.exit(3)"), say("three"), say("dead", killed), "")
    some[1].status = 0
    display = Listener()
    assert train_members(some, 1, ["cpu"], display) == 3
    assert [member.outcome.replace(f"{member.seconds:.0f} s", "0 s") for member in some] == [
        "trained in 0 s",
        "trained already",
        "failed with exit status 3: gone",
        "trained in 0 s",
        "failed: killed by SIGKILL, out of memory perhaps",
        "trained in 0 s",
    ]
    assert display.lines == [
        line for n, said in enumerate(["one", "", "gone", "three", "dead", ""]) if n != 1
        for line in (f"{n} started", *([f"{n} {said}"] if said else []), f"{n} ended")
    ]  # fmt: skip
    assert (
        train_members(members("", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), 2, ["cpu"], Listener())
        == 1
    )
    assert train_members(members("", ""), 2, ["cpu"], Listener()) == 0


def test_members_that_would_wait_for_another_are_started_last() -> None:
    some = members(*["import time; time.sleep(0.4)"] * 4, keys=("ab", "ac", "bd", "e"))
    display = Listener()
    train_members(some, 2, ["cpu"], display)
    assert [line for line in display.lines if "started" in line][:2] == ["0 started", "3 started"]
    assert max(_at_once(display.lines)) == 2
    display = Listener()
    train_members(members("", "", ""), 1, ["cpu"], display)
    assert [line for line in display.lines if "started" in line] == ["0 started", "1 started", "2 started"]


def _at_once(lines: list[str]) -> Iterator[int]:
    running = 0
    for line in lines:
        running += line.endswith("started") - line.endswith("ended")
        yield running


def test_cores_and_devices_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    said_by = "print(os.environ.get('OMP_NUM_THREADS'), *sys.argv[1:], file=sys.stderr)"
    code = f"import os, sys, time; {said_by}; time.sleep(0.3)"
    for jobs, devices, said in (
        (1, ["cpu"], {"0 None --device cpu", "1 None --device cpu"}),
        (2, ["cuda:0", "cuda:1"], {"0 4 --device cuda:0", "1 4 --device cuda:1"}),
    ):
        display = Listener()
        assert train_members(members(code, code), jobs, devices, display) == 0
        assert {line for line in display.lines if "--device" in line} == said
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    display = Listener()
    train_members(members(code), 2, ["cpu"], display)
    assert "0 3 --device cpu" in display.lines


def test_auto_is_every_accelerator_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices_of("auto") == devices_of("cpu") == ["cpu"]
    with pytest.raises(ResourceError, match="no CUDA device is available here; use --device cpu"):
        devices_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices_of("auto") == ["cuda:0", "cuda:1"]
    assert devices_of("cuda:1") == ["cuda:1"]


@contextmanager
def _signalled(display: Listener, number: signal.Signals, times: int = 1) -> Iterator[None]:
    """Sends this process signals once two members have said that they are ready."""

    def send() -> None:
        while sum(line.endswith("ready") for line in display.lines) < 2:
            time.sleep(0.02)
        for _ in range(times):
            os.kill(os.getpid(), number)
            time.sleep(0.5)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_reaches_who_is_training(number: signal.Signals, status: int) -> None:
    """Each gets it once, saves and ends; who waits is not started."""
    code = (
        "import signal, sys, time\n"
        f"def saved(*_): print('saved', file=sys.stderr); sys.exit({status})\n"
        f"signal.signal({int(number)}, saved)\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "time.sleep(60)"
    )
    some = members("", code, code, code)
    display = Listener()
    with _signalled(display, number), pytest.raises(Stopped) as caught:
        train_members(some, 2, ["cpu"], display)
    assert caught.value.signal == number
    assert str(caught.value) == f"{number.name} with 1 of 4 members trained"
    again = "stopped; the same command goes on from there"
    assert [member.outcome for member in some[1:]] == [again, again, "not started"]
    assert sorted(line for line in display.lines if "saved" in line) == ["1 saved", "2 saved"]


def test_a_second_interrupt_ends_at_once() -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " + say("ready", "time.sleep(60)")
    display = Listener()
    begun = time.monotonic()
    with _signalled(display, signal.SIGINT, times=2), pytest.raises(KeyboardInterrupt):
        train_members(members(deaf, deaf), 2, ["cpu"], display)
    assert time.monotonic() - begun < 20


def test_the_plan_knows_what_is_trained(spec: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    experiment = read(spec, ["seed=1"])
    first, second = plan(experiment, str(spec), ["seed=1"], runs)
    assert [(member.text, member.status) for member in (first, second)] == [
        ("gan.loss=hinge", None),
        ("gan.loss=wasserstein", None),
    ]
    assert len(first.keys) == len(second.keys) == 2
    assert len(first.keys & second.keys) == 1  # the attributes
    words = ["sweep", str(spec), "--runs", str(runs), "--seconds", "60.0", "--set", "seed=1", "--only", "1"]
    assert second.command == [sys.executable, "-m", "ganvas", *words]

    results = train_experiment(experiment.members[0], runs, torch.device("cpu"), Reporter())
    assert {result.status for result in results.values()} == {"trained"}
    first, second = plan(experiment, str(spec), ["seed=1"], runs)
    assert (first.status, first.keys, first.outcome) == (0, frozenset(), "trained already")
    assert (second.status, len(second.keys)) == (None, 1)
    results = train_experiment(experiment.members[1], runs, torch.device("cpu"), Reporter())
    assert {name: result.status for name, result in results.items()} == {"attributes": "reused", "gan": "trained"}

    # A metric that a finished member lacks is still to be measured.
    metric = "stages.gan.evaluate={metrics: [{use: diversity, samples: 20}]}"
    measuring = plan(read(spec, ["seed=1", metric]), str(spec), ["seed=1", metric], runs)
    assert [(member.status, member.keys) for member in measuring] == [(None, frozenset())] * 2


def test_every_member_is_checked_before_any_is_trained(spec: Path, tmp_path: Path) -> None:
    """What only shows when networks are built is laid to the swept value too."""
    spec.write_text(SPEC + "  dataset.size: [8, 3]\n")
    with pytest.raises(Mistakes) as caught:
        plan(read(spec), str(spec), (), tmp_path / "runs")
    said = str(caught.value).splitlines()
    assert len(said) == len(set(said)) > 0
    assert all(": sweep.dataset.size[1]: stages.gan." in line for line in said)
    spec.write_text(SPEC + "  dataset.use: [digits, cifar10]\n  label: {dataset.root: ./nowhere}\n")
    with pytest.raises(Mistakes, match=r"sweep\.label.*dataset.root: the dataset 'digits' has no option 'root'"):
        read(spec)
    spec.write_text(SPEC + "  dataset: [digits, {use: cifar10, root: ./nowhere}]\n")
    with pytest.raises(MissingData, match=r"^CIFAR-10 is not in .*nowhere"):
        plan(read(spec), str(spec), (), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_member_there_is_not(spec: Path) -> None:
    experiment = read(spec)
    assert only_member(experiment, "small.yaml", 1) is experiment.members[1]
    for number in (2, -1):
        with pytest.raises(Mistakes) as caught:
            only_member(experiment, "small.yaml", number)
        told = "there are 2 members, 0 to 1; `ganvas sweep small.yaml --list` shows them"
        assert str(caught.value) == f"--only {number}: {told}"
    spec.write_text(SPEC.partition("sweep:")[0])
    with pytest.raises(Mistakes) as caught:
        only_member(read(spec), "small.yaml", 0)
    told = "there is nothing to sweep; add sweep: {stages.gan.loss: [hinge, wasserstein]}, say"
    assert str(caught.value) == f"{spec}: {told}"
