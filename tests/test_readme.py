"""README is true: its commands, its Python and its part of one's own are run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch

import ganvas
from ganvas.cli import main as cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The quickstart in seconds: the same stages, a few iterations each.
SHORT = {"stages.features.steps": 2, "stages.attributes.steps": 2, "stages.gan.steps": 2}
SHORT |= {"stages.gan.evaluate": {"metrics": []}, "stages.features.batch_size": 16}
OWN = ("my_loss.py", "registry.yaml", "my_spec.yaml")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def write_own_part(folder: Path) -> None:
    """The three files of "A part of your own", with exactly the text that README shows."""
    section = README.partition("## A part of your own\n")[2].partition("\n## ")[0]
    texts = re.findall(r"```(?:python|yaml)\n(.*?)```", section, flags=re.S)
    assert [name for name in re.findall(r"`([a-z_]+\.(?:py|yaml))`", section) if name in OWN] == list(OWN)
    for name, text in zip(OWN, texts[:3], strict=True):
        (folder / name).write_text(text)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the clone, with the quickstart shortened."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "experiments" / "encoders", tmp_path / "experiments" / "encoders")
    short = f"extends: {ROOT / 'experiments' / 'quickstart.yaml'}\nstages:\n"
    short += "  features: {steps: 2, batch_size: 16}\n  attributes: {steps: 2}\n"
    short += "  gan: {steps: 2, evaluate: {metrics: []}}\n"
    (tmp_path / "experiments" / "quickstart.yaml").write_text(short)
    return tmp_path


@pytest.mark.slow
def test_every_command(checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    first, second = "pip install -e . && ganvas train experiments/quickstart.yaml", "pip install -e '.[test]' && pytest"
    assert lines[:2] == [first, second]
    commands = [line.partition("&& ")[2] or line for line in lines if "pytest" not in line]
    assert len(commands) == 24
    write_own_part(checkout)
    settings = [word for path, value in SHORT.items() for word in ("--set", f"{path}={json.dumps(value)}")]
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "ganvas"
        if words[1] in ("check", "train") and "my_spec.yaml" in words:
            words += settings  # what it extends is the shipped quickstart, at its full length
        monkeypatch.setattr(sys, "argv", words)
        assert cli._guarded() == 0, f"{command}\n{capsys.readouterr().err}"
    for name in ("threes", "threes_to_eights", "sum", "traversal"):
        assert (checkout / f"{name}.png").exists()
    assert (checkout / "ganvas.schema.json").exists()


def test_the_python(checkout: Path) -> None:
    (code,) = [block for block in blocks("python") if "ganvas.train" in block]
    found: dict = {}
    exec(code.replace('{"stages.gan.steps": 100}', repr(SHORT)), found)
    assert found["images"].shape == (16, 1, 28, 28)
    assert (found["rows"].images.shape, found["rows"].columns) == ((36, 1, 28, 28), 9)
    assert found["features"].shape[0] == 16
    assert found["loss"].margin == 2.0


def test_a_part_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three files are found beside one another; the loss is the paper's."""
    write_own_part(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert len((tmp_path / "registry.yaml").read_text().splitlines()) == 2
    report = ganvas.check("my_spec.yaml")
    assert (report.missing, report.unchecked, list(report.parameters)) == ([], [], ["features", "attributes", "gan"])
    loss = ganvas.build("loss", "my-loss")
    real, fake = (ganvas.Critique(torch.tensor(scores)) for scores in ([1.0, 2.0], [0.0, 4.0]))
    # softplus(0 - 1) and softplus(4 - 2); softplus(1 - 0) and softplus(2 - 4)
    assert loss.discriminator(real, fake).item() == pytest.approx((0.3132617 + 2.1269280) / 2)
    assert loss.generator(fake, real).item() == pytest.approx((1.3132617 + 0.1269280) / 2)


def test_it_takes_ten_lines(tmp_path: Path) -> None:
    write_own_part(tmp_path)
    code = [line for line in (tmp_path / "my_loss.py").read_text().splitlines() if line.strip()]
    docstring = [index for index, line in enumerate(code) if '"""' in line]
    assert len(code) - (docstring[1] - docstring[0] + 1) <= 10
    test = next(block for block in blocks("python") if "conformance" in block)
    compile(test, "README", "exec")


@pytest.mark.slow
def test_a_part_of_your_own_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own_part(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = ganvas.train("my_spec.yaml", overrides=SHORT)
    assert run["gan"].sample(3).shape == (3, 1, 28, 28)
    assert (tmp_path / "runs" / "my-loss" / "last.json").is_file()


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
