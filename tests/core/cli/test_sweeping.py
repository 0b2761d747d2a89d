"""``ganvas sweep``, ``table`` and ``runs`` on the command line."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from ganvas.cli import main as cli
from ganvas.cli.sweeping import ConsoleDisplay, summary
from ganvas.runs.sweep import Member, train_members

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
    evaluate: {metrics: [{use: diversity, samples: 20}]}
sweep:
  stages.gan.loss: [hinge, wasserstein]
  stages.gan.seed: [0, 1]
"""
LISTED = [
    "0  gan.loss=hinge, gan.seed=0",
    "1  gan.loss=hinge, gan.seed=1",
    "2  gan.loss=wasserstein, gan.seed=0",
    "3  gan.loss=wasserstein, gan.seed=1",
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``ganvas`` in a folder with a spec; gives the status and the text on both streams."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)
    Path("plain.yaml").write_text(SPEC.partition("sweep:")[0])

    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ganvas", *arguments])
        status = cli._guarded()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return runner


def test_a_sweep_by_its_members(run) -> None:
    """As a scheduler's array runs it: a shared stage is trained once, and the results are one table."""
    assert run("sweep", "small.yaml", "--list") == (0, "\n".join(LISTED) + "\n", "")
    assert not Path("runs").exists()
    for number, status in ((0, "trained"), (1, "reused"), (3, "reused")):
        code, out, _ = run("sweep", "small.yaml", "--only", str(number))
        assert code == 0
        assert re.search(rf"attributes\W+{status}\W", out)
        assert re.search(r"gan\W+trained\W", out)
    assert len(list(Path("runs/small/attributes").glob("*/model.safetensors"))) == 1
    names = sorted(path.parent.name.rpartition("-")[0] for path in Path("runs/small/gan").glob("*/stage.json"))
    assert names == ["loss-hinge_seed-0", "loss-hinge_seed-1", "loss-wasserstein_seed-1"]

    code, out, err = run("table", "small.yaml", "--json")
    assert code == 0
    assert err == "small.yaml: 1 of 4 members are not trained yet: run `ganvas sweep small.yaml`\n"
    found = json.loads(out)
    assert [row["options"] for row in found["rows"]] == [{"stages.gan.loss": x} for x in ("hinge", "wasserstein")]
    assert [row["metrics"]["diversity"]["number"] for row in found["rows"]] == [2, 1]
    values = [
        json.loads((Path(f) / "stage.json").read_text())["metrics"]["diversity"] for f in found["rows"][0]["runs"]
    ]
    assert found["rows"][0]["metrics"]["diversity"]["value"] == sum(one["value"] for one in values) / 2
    assert json.loads(run("table", "runs/small", "--json")[1])["rows"][0]["metrics"] == found["rows"][0]["metrics"]
    for form, start in ((), "gan.loss "), (("--markdown",), "| gan.loss |"), (("--latex",), r"\begin{tabular}{lr}"):
        assert run("table", "runs/small", *form)[1].startswith(start)

    stages = json.loads(run("runs", "--json")[1])
    assert [(one["stage"], one["status"], len(one["used_by"])) for one in stages] == [
        ("attributes", "finished", 3),
        *[("gan", "finished", 0)] * 3,
    ]
    assert run("runs")[1].splitlines()[-1].startswith("4 stages, ")


def test_check_and_train_know_of_the_sweep(run) -> None:
    status, out, _ = run("check", "small.yaml")
    assert (status, out.splitlines()[-1]) == (0, "small.yaml: no mistakes, a sweep of 4")
    said = "sweep.stages.gan.condition[0]: stages.gan.regularizers[0]"
    swept = "sweep={stages.gan.condition: [none, labels]}"
    status, out, err = run("check", "small.yaml", "--set", swept)
    assert (status, out) == (2, "")
    assert all(line.startswith(f"small.yaml:11:26: {said}: ") for line in err.splitlines())
    settings = ("--set", "stages.gan.steps=1", "--set", "stages.attributes.steps=1")
    status, out, err = run("train", "plain.yaml", *settings)
    assert (status, "sweep" in err) == (0, False)
    status, out, err = run("train", "small.yaml", *settings)
    assert err.splitlines()[0] == (
        "this trains small.yaml as it stands; its 4 members are trained by `ganvas sweep small.yaml`"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["sweep", "plain.yaml"],
            "plain.yaml: there is nothing to sweep; add sweep: {stages.gan.loss: [hinge, wasserstein]}, say",
        ),
        (
            ["sweep", "small.yaml", "--only", "4"],
            "--only 4: there are 4 members, 0 to 3; `ganvas sweep small.yaml --list` shows them",
        ),
        (["sweep", "none.yaml"], "none.yaml: there is no such file"),
        (
            ["sweep", "small.yaml", "--set", "sweep={seed: [0, x]}"],
            "--set sweep={seed: [0, x]}: sweep.seed[1]: seed: must be a whole number, not 'x'",
        ),
        (["table", "none.yaml"], "none.yaml: there is no such file"),
        (["table", "small.yaml"], "small.yaml: 4 of 4 members are not trained yet: run `ganvas sweep small.yaml`"),
        (["table", "plain.yaml"], "plain.yaml: it is not trained yet: run `ganvas train plain.yaml`"),
        (["table", "."], ".: there is no finished stage in this folder"),
    ],
)
def test_bad_input(run, arguments: list[str], said: str) -> None:
    assert run(*arguments) == (2, "", said + "\n")


def test_one_form_of_table(run) -> None:
    status, _, err = run("table", "runs", "--json", "--latex")
    assert status == 2
    assert "choose one of --json, --markdown and --latex" in err


def test_no_runs(run) -> None:
    assert run("runs") == (0, "there is nothing in runs\n", "")
    assert run("runs", "--json") == (0, "[]\n", "")


CODES = (
    "import sys; print('gan: 1/2', file=sys.stderr); print('warning: odd', file=sys.stderr)",
    "import sys; print('Traceback', file=sys.stderr); print('broken', file=sys.stderr); sys.exit(1)",
)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_sweep_shows(terminal: bool) -> None:
    """In a pipe all lines; on a terminal one that changes, warnings, and what a crash said."""
    members = [Member(i, f"seed={i}", [sys.executable, "-S", "-c", code]) for i, code in enumerate(CODES)]
    display = ConsoleDisplay()
    display.console = Console(file=io.StringIO(), force_terminal=terminal, soft_wrap=True, highlight=False, width=200)
    display.live.console = display.console
    assert display.seconds == (1.0 if terminal else 60.0)
    with display:
        assert train_members(members, 1, ["cpu"], display) == 1
    plain = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", display.console.file.getvalue()).replace("\r", "\n")  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in plain.splitlines() if line.strip()]
    ended = ["[0] seed=0: trained in 0 s", "[1] seed=1: failed with exit status 1: broken"]
    said = ["[1] Traceback", "[1] broken"]
    if terminal:
        kept = [line for line in lines if not re.search(r"\d s  ", line)]
        assert kept == ["[0] warning: odd", ended[0], *said, ended[1]]
        assert any(re.fullmatch(r"\[0\] seed=0  0 s  (starting|gan: 1/2|warning: odd)", line) for line in lines)
    else:
        assert lines == [
            *("[0] seed=0: started", "[0] gan: 1/2", "[0] warning: odd", ended[0]),
            *("[1] seed=1: started", *said, ended[1]),
        ]
    assert summary(members) == ["0  seed=0  trained in 0 s", "1  seed=1  failed with exit status 1: broken"]


def sweep(*arguments: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "ganvas", "sweep", "small.yaml", "--device", "cpu", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_interrupted_and_continued_with_two_jobs(run) -> None:
    """Both members need the same untrained stage: one trains it. Then a member is added that fails."""
    spec = SPEC.partition("sweep:")[0].replace("steps: 2\n    batch_size: 8", "steps: 500\n    batch_size: 8")
    losses = "sweep:\n  fine: {}\n  other: {stages.gan.loss: wasserstein}\n"
    Path("small.yaml").write_text(spec + losses)
    child = sweep("--jobs", "2")
    for _ in range(3000):
        logs = list(Path().glob("runs/small/gan/*/metrics.jsonl"))
        if len(logs) == 2 and all(log.stat().st_size for log in logs):
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    again = "stopped; the same command goes on from there"
    assert out.splitlines()[:2] == [f"0  fine   {again}", f"1  other  {again}"]
    assert err.splitlines()[-1] == "stopped by SIGINT with 0 of 2 members trained; the same command goes on from there"
    assert len(list(Path().glob("runs/small/attributes/*/model.safetensors"))) == 1
    assert len(re.findall(r"^\[\d\] attributes: 2/2", err, re.MULTILINE)) == 1
    saved = [int(path.stem) for path in Path().glob("runs/small/gan/*/checkpoints/*.safetensors")]
    assert len(saved) == 2
    assert not list(Path().glob("runs/**/lock.json"))

    broken = "{use: sgd, lr: 1.0e+30}, stages.gan.loss: least-squares, stages.gan.steps: 50"
    Path("small.yaml").write_text(f"{spec}{losses}  broken: {{stages.gan.optimizers: {broken}}}\n")
    child = sweep("--jobs", "2")
    out, err = child.communicate(timeout=600)
    assert child.returncode == 3, err
    assert sorted(int(n) for n in re.findall(r"gan: going on at iteration (\d+) of 500", err)) == sorted(saved)
    lines = out.splitlines()
    assert re.fullmatch(r"0  fine    trained in \d+ s", lines[0])
    assert re.fullmatch(r"1  other   trained in \d+ s", lines[1])
    assert re.match(r"2  broken  failed with exit status 3: gan: the term '.*' became", lines[2])
    assert len(list(Path().glob("runs/small/gan/*/model.safetensors"))) == 2
    assert len(list(Path().glob("runs/small/attributes/*/stage.json"))) == 1
