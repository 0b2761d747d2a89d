"""What the command line says where something is wrong: the lines, the stream they go to, and the exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ganvas.cli import main

BAD = """
dataset: {use: digits, sze: 8}
stages:
  gan: {use: gan, generator: dcgan, discriminator: global, loss: hing, steps: 0}
"""
SAID = [
    "bad.yaml:2:24: dataset.sze: the dataset 'digits' has no option 'sze'; did you mean 'size'?",
    "bad.yaml:4:66: stages.gan.loss: no loss is called 'hing'; did you mean 'hinge'?",
    "bad.yaml:4:79: stages.gan.steps: must be at least 1, not 0",
]
GOOD = """
dataset: digits
stages:
  gan: {use: gan, generator: dcgan, discriminator: global, steps: 2}
"""
ABSENT = """
dataset: {use: image-folder, root: pictures, size: 8}
stages:
  gan: {use: gan, generator: dcgan, discriminator: global, steps: 2}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``ganvas`` in a folder with three specs; gives the status and the lines on both streams."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("bad.yaml", BAD), ("good.yaml", GOOD), ("absent.yaml", ABSENT)):
        Path(name).write_text(text)

    def runner(*arguments: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["ganvas", *arguments])
        status = main._guarded()
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return runner


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_bad_spec(run, command: str) -> None:
    assert run(command, "bad.yaml") == (2, [], SAID)
    assert not Path("runs").exists()


def test_a_good_spec(run) -> None:
    status, out, err = run("check", "good.yaml")
    assert (status, err) == (0, [])
    assert out[-1] == "good.yaml: no mistakes"


def test_bad_settings(run) -> None:
    said = "--set stages.gan.steps=0: stages.gan.steps: must be at least 1, not 0"
    assert run("check", "good.yaml", "--set", "stages.gan.steps=0") == (2, [], [said])


def test_a_spec_there_is_not(run) -> None:
    assert run("check", "none.yaml") == (2, [], ["none.yaml: there is no such file"])


def test_missing_data_are_a_warning_of_check(run, tmp_path: Path) -> None:
    status, out, err = run("check", "absent.yaml")
    said = "there is no folder {}/pictures; put images (png, jpg, jpeg, bmp, webp) there, or mend root"
    assert (status, err) == (0, ["missing: " + said.format(tmp_path)])
    assert out == [
        "gan              not built: its data or weights are missing",
        "absent.yaml: no mistakes, 1 missing",
    ]
    assert run("train", "absent.yaml")[0] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "loss/hing"], "no loss is called 'hing'; did you mean 'hinge'?"),
        (["show", "dcgan"], "2 kinds have a 'dcgan'; write generator/dcgan or discriminator/dcgan"),
        (["list", "los"], "there is no kind 'los'; did you mean 'loss'?"),
        (["chek", "good.yaml"], "No such command 'chek'"),
        (["check"], "Missing argument"),
        (["check", "good.yaml", "--st", "a=1"], "No such option: --st"),
    ],
)
def test_usage(run, arguments: list[str], said: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, [])
    assert said in "\n".join(err)
    assert "Traceback" not in "\n".join(err)


def test_a_broken_registry(run) -> None:
    Path("registry.yaml").write_text("component: {}\n")
    said = f"{Path('registry.yaml').resolve()}:1:1: component: no such key in a registry; did you mean 'components'?"
    assert run("list") == (2, [], [said])
    assert run("check", "good.yaml") == (2, [], [said])


@pytest.mark.slow
def test_a_bad_spec_in_a_process_of_its_own(run) -> None:
    """Exit status 2, the lines on standard error and nothing else anywhere."""
    done = subprocess.run([sys.executable, "-m", "ganvas", "check", "bad.yaml"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (2, "", SAID)
