"""Every mistake that a user can make in a spec, each with the exact lines that ``ganvas check`` says of it.

The table is ``bad_specs.txt`` beside this file. An entry is a title after ``===``, settings after ``$`` (as given to
``--set``), the spec, further files after ``+++ NAME``, and after ``>>>`` the lines that are said.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from ganvas.registry.documents import Mistakes
from ganvas.runs.api import read
from ganvas.runs.checking import check_experiment

# Components that do not go with others; the bundled ones of these kinds go with everything.
PARTS = """
from torch import nn

from ganvas import Augmentation, Critique, Generator, Head, Latents


class Coarse(Augmentation):
    def forward(self, images, side, rng):
        return images.round()


class Deaf(Generator):
    def __init__(self, shape, condition):
        super().__init__()
        self.sample_shape, self.conditional, self.latents = tuple(shape), False, Latents({"z": 2})
        self.layer = nn.Linear(2, shape[0] * shape[1] * shape[2])

    def forward(self, latents, condition=None):
        return self.layer(latents).view(-1, *self.sample_shape)


class Tiny(Deaf):
    def __init__(self, shape, condition):
        super().__init__((1, 4, 4), condition)


class Sliced(Head):
    gives = demands = frozenset({"direction"})

    def __init__(self, features, condition):
        super().__init__()
        self.layer = nn.Linear(features, 1)

    def forward(self, features, condition=None):
        return Critique(self.layer(features).squeeze(1))
"""
REGISTRY = """
components:
  augmentation: {coarse: ./parts.py:Coarse}
  generator: {deaf: ./parts.py:Deaf, tiny: ./parts.py:Tiny}
  head: {sliced: ./parts.py:Sliced}
"""


@dataclass
class Case:
    """One entry of the table."""

    title: str
    settings: list[str]
    files: dict[str, str]
    said: list[str]


def table() -> list[Case]:
    text = (Path(__file__).parent / "bad_specs.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== (.*)\n", text, flags=re.MULTILINE)[1:]
    cases = []
    for title, body in zip(parts[::2], parts[1::2]):
        given, _, said = body.partition(">>>\n")
        main, *others = re.split(r"^\+\+\+ (.*)\n", given, flags=re.MULTILINE)
        lines = main.splitlines(keepends=True)
        settings = [line[2:].rstrip("\n") for line in lines if line.startswith("$ ")]
        spec = "".join(line for line in lines if not line.startswith("$ "))
        files = {"spec.yaml": spec, **dict(zip(others[::2], others[1::2]))}
        cases.append(Case(title, settings, files, said.splitlines()))
    return cases


CASES = table()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, miniatures) -> Path:
    """Where the specs are written: with odd components beside them, a flat folder, and one of images of two sizes."""
    path = tmp_path_factory.mktemp("specs")
    (path / "parts.py").write_text(PARTS)
    (path / "registry.yaml").write_text(REGISTRY)
    miniatures.write_flat_folder(path / "pictures", 2, 8, 8, 1)
    miniatures.write_flat_folder(path / "sizes", 2, 8, 9, 1)
    miniatures.write_flat_folder(path / "sizes", 1, 8, 8, 1)
    return path


def said_of(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    for name, text in case.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(Mistakes) as raised:
        check_experiment(read("spec.yaml", case.settings))
    return str(raised.value).replace(f"{folder.resolve()}{os.sep}", "").splitlines()


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_mistakes(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_of(case, folder, monkeypatch) == case.said


def test_the_table_covers_every_class() -> None:
    """At least three entries of each class of mistake, all with different titles."""
    classes = {
        "unknown key": 3,
        "wrong type": 3,
        "YAML 1.2": 3,
        "out of range": 3,
        "unknown component": 3,
        "missing": 3,
        "references": 3,
        "cycle": 3,
        "duplicate keys": 3,
        "syntax": 3,
        "--set": 3,
        "extends": 3,
        "sweep": 3,
        "schedule": 3,
        "optimizers": 3,
        "ema": 3,
        "fields": 3,
        "sizes": 3,
        "algorithm": 3,
        "frozen": 7,
        "metric": 2,
        "dataset": 3,
        "several": 2,
    }
    titles = [case.title for case in CASES]
    assert len(set(titles)) == len(titles) >= 75
    for name, least in classes.items():
        assert sum(title.startswith(f"{name}:") for title in titles) >= least, name


def test_lines_are_in_order_and_told_once() -> None:
    """One line per mistake, in the order of the file, and each names its place."""
    pattern = r"(spec\.yaml|other\.yaml):(\d+):(\d+): ."
    for case in CASES:
        found = [re.match(pattern, line) for line in case.said if not line.startswith("--set ")]
        places = [(match[1], int(match[2]), int(match[3])) for match in found if match is not None]
        assert len(places) == len(found), case.title
        assert places == sorted(places), case.title
        assert len(set(case.said)) == len(case.said) > 0, case.title


def test_missing_data_are_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` warns of data that are not there yet and goes on with what does not need them."""
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(
        "dataset: {use: image-folder, root: pictures, size: 8}\n"
        "stages:\n"
        "  gan: {use: gan, generator: dcgan, discriminator: global, steps: 2}\n"
        "  digits: {use: gan, generator: dcgan, discriminator: global, steps: 2, dataset: digits}\n"
    )
    report = check_experiment(read("spec.yaml"))
    formats = "png, jpg, jpeg, bmp, webp"
    assert report.missing == [f"there is no folder {tmp_path}/pictures; put images ({formats}) there, or mend root"]
    assert report.unchecked == ["gan"]
    assert list(report.parameters) == ["digits"]
