"""README is true: its commands, its Python and its example of a part of one's own are run as they stand."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

import ganvas
from ganvas.cli import main as cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The quickstart in seconds: the same stages, a few iterations each.
SHORT = {"stages.features.steps": 2, "stages.attributes.steps": 2, "stages.gan.steps": 2}
SHORT |= {"stages.gan.evaluate": {"metrics": []}, "stages.features.batch_size": 16}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the clone, with the quickstart shortened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    short = f"extends: {ROOT / 'experiments' / 'quickstart.yaml'}\nstages:\n"
    short += "  features: {steps: 2, batch_size: 16}\n  attributes: {steps: 2}\n"
    short += "  gan: {steps: 2, evaluate: {metrics: []}}\n"
    (tmp_path / "experiments" / "quickstart.yaml").write_text(short)
    return tmp_path


def test_every_command(checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    first, second = "pip install -e . && ganvas train experiments/quickstart.yaml", "pip install -e '.[test]' && pytest"
    assert lines[:2] == [first, second]
    commands = [line.partition("&& ")[2] or line for line in lines if "pytest" not in line]
    assert len(commands) == 12
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "ganvas"
        monkeypatch.setattr(sys, "argv", words)
        assert cli._guarded() == 0, f"{command}\n{capsys.readouterr().err}"
    assert (checkout / "threes.png").exists()
    assert (checkout / "ganvas.schema.json").exists()


def test_the_python(checkout: Path) -> None:
    (code,) = [block for block in blocks("python") if "ganvas.train" in block]
    found: dict = {}
    exec(code.replace('{"stages.gan.steps": 100}', repr(SHORT)), found)
    assert found["images"].shape == (16, 1, 28, 28)
    assert found["features"].shape[0] == 16
    assert found["loss"].margin == 2.0


def test_a_part_of_your_own(tmp_path: Path) -> None:
    (code,) = [block for block in blocks("python") if "class Mine" in block]
    (registry,) = blocks("yaml")
    (tmp_path / "my_loss.py").write_text(code)
    (tmp_path / "registry.yaml").write_text(registry)
    (tmp_path / "spec.yaml").write_text(
        "dataset: digits\nstages:\n  gan: {use: gan, generator: {use: dcgan, channels: 4}, "
        "discriminator: {use: global, channels: 4}, loss: mine, steps: 2, batch_size: 8}\n"
    )
    run = ganvas.train(tmp_path / "spec.yaml", runs=tmp_path / "runs")
    assert run["gan"].sample(3).shape == (3, 1, 8, 8)


def test_the_example_of_a_mistake(checkout: Path) -> None:
    from ganvas.registry.documents import Mistakes

    line = next(block for block in blocks("text") if "hing" in block).strip()
    text = (ROOT / "experiments" / "quickstart.yaml").read_text().replace("loss: hinge", "loss: hing")
    (checkout / "quickstart.yaml").write_text(text)
    with pytest.raises(Mistakes) as caught:
        ganvas.check("quickstart.yaml")
    assert str(caught.value) == line


def test_every_spec_and_status_is_listed() -> None:
    for path in (ROOT / "experiments").iterdir():
        assert f"`{path.name}{'/' if path.is_dir() else ''}`" in README
    for status in (0, 1, 2, 3, 4, 75, 130):
        assert f"| {status} |" in README
