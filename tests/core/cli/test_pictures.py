"""Pictures of the latent space on the command line: what they print and write, and what they refuse."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy
import pytest
from PIL import Image

import ganvas
from ganvas.cli import main as cli

SPEC = """
name: small
dataset: {use: digits}
stages:
  attributes: {use: classifier, steps: 2, batch_size: 8}
  gan:
    use: gan
    generator: {use: eigengan, channels: 4, noise: 20, hidden: 8, basis: 2}
    discriminator: {use: global, channels: 4}
    condition: labels
    loss: hinge
    steps: 2
    batch_size: 8
    log_every: 2
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(SPEC)
    ganvas.train(folder / "small.yaml", runs=folder / "runs")
    return folder


@pytest.fixture
def command(trained: Path, tmp_path: Path, monkeypatch, capsys):
    """Runs a command over the trained stage; its status, and what it printed."""
    monkeypatch.chdir(trained)

    def run(words: str, *more: str) -> tuple[int, str, str]:
        name, *rest = words.split()
        monkeypatch.setattr(sys, "argv", ["ganvas", name, "runs/small", *rest, *more])
        status = cli._guarded()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def pixels(path: str) -> numpy.ndarray:
    return numpy.load(path)["images"].astype(int)


def close(one: numpy.ndarray, other: numpy.ndarray) -> bool:
    """The same but for rounding: a convolution over another number of images may add up in another order."""
    return one.shape == other.shape and bool(abs(one - other).max() <= 1)


def test_the_ways_between_samples(command, tmp_path: Path) -> None:
    grid, ways = tmp_path / "samples.npz", tmp_path / "ways.npz"
    assert command(f"sample -n 16 --seed 4 -o {grid}")[0] == 0
    status, out, err = command(f"interpolate -n 2 --steps 5 --seed 4 -o {ways}")
    assert (status, err) == (0, "")
    assert out == f"row 1: from sample 0 to sample 2\nrow 2: from sample 1 to sample 3\n10 images of gan: {ways}\n"
    samples, made = pixels(grid), pixels(ways).reshape(2, 5, 8, 8, 1)
    assert close(made[:, 0], samples[:2])
    assert close(made[:, -1], samples[2:4])
    assert int(numpy.load(ways)["columns"]) == 5
    assert numpy.load(ways)["rows"].tolist() == ["from sample 0 to sample 2", "from sample 1 to sample 3"]

    # From one sample to three others, as a picture.
    assert command(f"interpolate --from 3 --to 5,6,7 --steps 4 --seed 4 -o {tmp_path / 'ways.png'}")[0] == 0
    assert Image.open(tmp_path / "ways.png").size == (4 * 9 + 1, 3 * 9 + 1)

    # The same latents under another condition.
    assert command(f"sample -n 2 --condition 3 -o {grid}")[0] == 0
    assert command(f"interpolate -n 2 --steps 3 --condition 3 --to-condition 8 -o {ways}")[0] == 0
    made = pixels(ways).reshape(2, 3, 8, 8, 1)
    assert close(made[:, 0], pixels(grid))
    assert command(f"sample -n 2 --condition 8 -o {grid}")[0] == 0
    assert close(made[:, -1], pixels(grid))


def test_concepts_are_added(command, tmp_path: Path) -> None:
    grid, sums = tmp_path / "samples.npz", tmp_path / "sums.npz"
    assert command(f"sample -n 16 --sampler truncation -o {grid}")[0] == 0
    status, out, err = command(
        f"arithmetic --sampler truncation --plus 3,7,12 --minus [1,2] --plus 5 --neighbours 3 -o {sums}"
    )
    assert (status, err) == (0, "")
    assert out == (
        "row 1: plus samples 3, 7, 12, and the mean\n"
        "row 2: plus sample 5, and the mean\n"
        "row 3: minus samples 1, 2, and the mean\n"
        "row 4: the result, and its neighbours\n"
        f"16 images of gan: {sums}\n"
    )
    samples, made = pixels(grid), pixels(sums).reshape(4, 4, 8, 8, 1)
    assert close(made[0, :3], samples[[3, 7, 12]])
    assert close(made[1, [0, 3]], samples[[5, 5]])  # the mean of one is that one
    assert made[1, 1:3].max() == 0  # black
    status, out, _ = command(
        f"arithmetic --neighbours 0 -o {sums}",
        *("--plus", "{condition: 3}", "--plus", "{samples: [2, 4], seed: 9}", "--minus", "{condition: '1'}"),
    )
    assert status == 0
    assert out.splitlines()[:2] == [
        "row 1: plus sample 0 (condition 3), and the mean",
        "row 2: plus samples 2, 4 (seed 9), and the mean",
    ]


def test_axes_are_traversed(command, tmp_path: Path) -> None:
    grid, moved = tmp_path / "samples.npz", tmp_path / "moved.npz"
    assert command(f"sample -n 8 --condition 3 -o {grid}")[0] == 0
    status, out, err = command(f"traverse --sample 6 --condition 3 --steps 5 -o {moved}")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [re.sub(r"over \S+ to", "over _ to", line) for line in lines] == [
        "row 1: layer0, axis 0: from -4 over _ to 4",
        "row 2: layer0, axis 1: from -4 over _ to 4",
        f"10 images of gan: {moved}",
    ]
    made = pixels(moved).reshape(2, 5, 8, 8, 1)
    assert close(made[:, 2], pixels(grid)[[6, 6]])
    status, out, _ = command(f"traverse --group noise --axis 19 --axis 3 --span 1.5 -o {moved}")
    assert [line.partition(" over")[0] for line in out.splitlines()[:2]] == [
        "row 1: noise, axis 19: from -1.5",
        "row 2: noise, axis 3: from -1.5",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "interpolate --stage attributes",
            "the stage 'attributes' (classifier) has no generator with latents; choose a stage that has one",
        ),
        ("interpolate --from -3", "there is no sample -3; they go from 0 to 99999"),
        ("interpolate --to-condition eleven", "no class is called 'eleven'; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("arithmetic --plus man", "'man' is no number of a sample; they count from 0 on"),
        ("traverse --group layer3", "there is no group of latents 'layer3'; did you mean 'layer0'?"),
        ("traverse --axis 2", "layer0 has no axis 2; its axes are 0 to 1"),
        ("traverse --steps 6", "steps must be odd, 3 or more: the sample itself stands in the middle; not 6"),
        ("sample --condition 10", "there is no class 10; they go from 0 to 9"),
    ],
)
def test_what_cannot_be_shown_is_one_line(command, words: str, message: str) -> None:
    assert command(words) == (2, "", f"runs/small: {message}\n")


def test_there_are_two_sorts_of_files(command) -> None:
    for name in ("sample", "interpolate", "traverse", "arithmetic --plus 1"):
        status, _, err = command(f"{name} -o picture.jpg")
        assert status == 2
        assert "picture.jpg must end in .png or .npz" in " ".join(err.replace("│", " ").split())
