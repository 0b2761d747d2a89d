"""``ganvas new``: for every kind, what it writes is clean, installs, is listed, passes its tests and trains by name."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import ganvas
from ganvas.cli import main
from ganvas.cli.new import Package, write_package
from ganvas.kinds import KINDS
from ganvas.registry.plugins import Host, import_target

# A word of each length, so that names of no length spoil the layout of what is written.
NAMES = {kind: ("my", "its-own", "quite-another")[number % 3] + f"-{kind}" for number, kind in enumerate(KINDS)}


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """A package of every kind."""
    folder = tmp_path_factory.mktemp("packages")
    return {kind: write_package(kind, name, folder) for kind, name in NAMES.items()}


@pytest.fixture(scope="session")
def target(packages: Mapping[str, Package], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them installed."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed, and packages are installed with it")
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder)]
    subprocess.run([*command, *(str(package.folder) for package in packages.values())], check=True)
    return folder


@pytest.fixture
def installed(target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where Python looks for packages."""
    monkeypatch.syspath_prepend(str(target))
    return target


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``ganvas`` in an empty folder; gives the status and the lines on both streams."""
    monkeypatch.chdir(tmp_path)

    def runner(*arguments: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["ganvas", *arguments])
        status = main._guarded()
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return runner


# -- what is written ---------------------------------------------------------------------------------------------------


def test_the_loss_package(run) -> None:
    assert run("new", "loss", "my-loss", "-o", "here") == (
        0,
        [
            "here/my-loss: the loss my-loss, its test and its README. Next:",
            "  pip install -e here/my-loss",
            "  pytest here/my-loss",
            "  ganvas train quickstart --set stages.gan.loss=my-loss",
        ],
        [],
    )
    assert sorted(str(path.relative_to("here/my-loss")) for path in Path("here").rglob("*") if path.is_file()) == [
        "README.md",
        "pyproject.toml",
        "src/ganvas_my_loss/__init__.py",
        "src/ganvas_my_loss/my_loss.py",
        "tests/test_my_loss.py",
    ]
    project = tomllib.loads(Path("here/my-loss/pyproject.toml").read_text())["project"]
    assert project["name"] == "ganvas-my-loss"
    assert project["entry-points"] == {"ganvas": {"ganvas-my-loss": "ganvas_my_loss"}}
    assert [ganvas.__version__.startswith(needed.removeprefix("ganvas>=")) for needed in project["dependencies"]] == [
        True
    ]
    assert "class MyLoss(Loss):" in Path("here/my-loss/src/ganvas_my_loss/my_loss.py").read_text()


def test_what_is_written_is_clean(packages: Mapping[str, Package]) -> None:
    folder = packages["loss"].folder.parent
    for command in (["check", "--output-format", "concise"], ["format", "--check"]):
        done = subprocess.run(["ruff", *command, "--no-cache", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_left(packages: Mapping[str, Package], kind: str) -> None:
    for path, text in packages[kind].files().items():
        assert not re.search("template", text, flags=re.I), path
    tomllib.loads(packages[kind].files()["pyproject.toml"])


def test_torch_is_not_needed(tmp_path: Path) -> None:
    code = "import sys; from ganvas.cli.main import app; app(['new', 'loss', 'x'], standalone_mode=False)"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("los", "my-loss", ["there is no kind 'los'; did you mean 'loss'?"]),
        ("loss", "MyLoss", ["a component's name is small letters and digits, with '-' between words: my-loss"]),
        (
            "loss",
            "my_loss 2",
            ["a component's name is small letters and digits, with '-' between words: my-loss-2"],
        ),
        ("loss", "3", ["a component's name is small letters and digits, with '-' between words: my-loss"]),
        (
            "los",
            "My Loss",
            [
                "there is no kind 'los'; did you mean 'loss'?",
                "a component's name is small letters and digits, with '-' between words: my-loss",
            ],
        ),
        ("loss", "hinge", ["the loss 'hinge' is there already: ganvas/hinge; choose another name"]),
        ("loss", "plugins", ["the package ganvas_plugins is there already; choose another name"]),
        ("loss", "loss", ["its class would be called Loss, a name that is taken; choose another, my-loss say"]),
        ("head", "none", ["its class would be called None, a name that is taken; choose another, my-none say"]),
        ("loss", "full", ["full is there already and not empty; name another folder with -o, or remove it"]),
        ("loss", "file", ["file is there already and not empty; name another folder with -o, or remove it"]),
    ],
)
def test_refusals(run, kind: str, name: str, said: list[str]) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").touch()
    Path("file").touch()
    (Path("hinge")).mkdir()
    before = sorted(Path().rglob("*"))
    assert run("new", kind, name) == (2, [], [f"ganvas new {kind} {name}: {line}" for line in said])
    assert sorted(Path().rglob("*")) == before


def test_a_folder_that_cannot_be_written(run) -> None:
    Path("file").touch()
    said = "ganvas new loss my-loss: file/my-loss/pyproject.toml cannot be written: Not a directory"
    assert run("new", "loss", "my-loss", "-o", "file") == (2, [], [said])


def test_an_empty_folder_and_python_keywords_are_fine(run) -> None:
    Path("global").mkdir()
    assert run("new", "loss", "global")[0] == 0
    assert Path("global/src/ganvas_global/global_.py").is_file()
    assert "from ganvas_global.global_ import Global" in Path("global/tests/test_global_.py").read_text()


# -- what it is good for -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_listed(installed: Path, packages: Mapping[str, Package], kind: str) -> None:
    package = packages[kind]
    described = ganvas.components(kind)[package.name]
    assert described["plugin"] == package.distribution
    assert described["source"] == f"{package.package}.{package.module}:{package.class_name}"
    assert described["summary"] in (package.folder / "README.md").read_text().splitlines()
    assert all(option["description"] for option in described["options"])
    record = next(record for record in Host().plugins if record.name == package.distribution)
    assert (record.version, record.status, record.components) == ("0.1.0", "loaded", [f"{kind}/{package.name}"])
    assert "Source: " in (import_target(f"{package.package}.{package.module}").__dict__[package.class_name].__doc__)


@pytest.mark.slow
def test_its_tests_pass(target: Path, packages: Mapping[str, Package], tmp_path: Path) -> None:
    folders = [str(package.folder / "tests") for package in packages.values()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *folders]
    paths = os.pathsep.join([str(target), *sys.path])
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def commands_of(package: Package) -> tuple[list[str], list[list[str]]]:
    """What the README's `ganvas train` sets, and its other commands with ganvas."""
    readme = (package.folder / "README.md").read_text()
    commands = [shlex.split(line)[1:] for line in re.findall(r"^ganvas .*$", readme, flags=re.M)]
    (training,) = [words for words in commands if words[0] == "train"]
    assert training[1] == "quickstart"
    assert training[2::2] == ["--set"] * (len(training[2:]) // 2)
    return training[3::2], [words for words in commands if words is not training]


def apart(first: list[str], second: list[str]) -> bool:
    """Whether settings change different parts of the spec, so that one training can show both."""
    parts = [[re.sub(r"\[.*", "", setting.partition("=")[0]) + "." for setting in given] for given in (first, second)]
    return not any(a.startswith(b) or b.startswith(a) for a in parts[0] for b in parts[1])


@pytest.mark.slow
def test_it_trains_in_the_quickstart_by_name(installed: Path, packages: Mapping[str, Package], run) -> None:
    groups: list[dict[str, list[str]]] = []
    for kind, package in packages.items():
        settings, _ = commands_of(package)
        group = next((g for g in groups if all(apart(settings, other) for other in g.values())), None)
        if group is None:
            groups.append(group := {})
        group[kind] = settings
    metrics: dict[str, Any] = {}
    for group in groups:
        stages = ("features", "attributes", "gan")
        short = [f"stages.{stage}.{option}" for stage in stages for option in ("steps=2", "batch_size=8")]
        if "dataset" not in group:
            short.insert(0, "dataset=digits")
        if not {"metric", "extractor"} & group.keys():
            short.append("stages.gan.evaluate={metrics: []}")
        chosen = [*(setting for settings in group.values() for setting in settings), *short]
        status, out, err = run("train", "quickstart", "--json", *(word for text in chosen for word in ("--set", text)))
        assert status == 0, "\n".join([*chosen, *err])
        trained = json.loads(out[-1])["stages"]
        assert trained["gan"]["status"] == "trained"
        metrics |= trained["gan"]["metrics"]
        written = Path(trained["gan"]["folder"], "spec.yaml").read_text()
        for kind, settings in group.items():
            assert re.search(rf"\b{packages[kind].name}\b", written) or not settings, kind
            for words in commands_of(packages[kind])[1]:
                status, out, err = run(*words)
                assert status == 0, "\n".join([*words, *err])
        if "tracker" in group:
            table = Path(trained["gan"]["folder"], "scalars.csv").read_text()
            assert re.search(r"^2,16,loss/\S+,-?\d", table, flags=re.M)
    assert metrics[packages["metric"].name]["value"] >= 0
    assert metrics[f"fid@{packages['extractor'].name}"]["value"] > 0
