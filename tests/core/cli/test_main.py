"""The command line: what it prints, and its exit statuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
from PIL import Image

from ganvas.cli import main as cli

SPEC = """
name: small
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    condition: labels
    loss: hinge
    steps: 4
    batch_size: 8
    log_every: 2
    evaluate: {metrics: [{use: diversity, samples: 20}]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPEC)
    return tmp_path


def ganvas(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ganvas", *words])
    return cli._guarded()


def test_train_sample_and_evaluate(here: Path, monkeypatch, capsys) -> None:
    assert ganvas(monkeypatch, "train", "small.yaml") == 0
    printed = capsys.readouterr()
    assert "diversity" in printed.out
    assert "tensorboard --logdir runs" in printed.out
    assert "gan: 4/4" in printed.err
    assert "Traceback" not in printed.err

    assert ganvas(monkeypatch, "train", "small.yaml", "--json") == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert stages["gan"]["status"] == "reused"
    folder = Path(stages["gan"]["folder"])
    assert set(stages["gan"]["metrics"]["diversity"]) == {"value", "deviation", "better", "protocol"}

    # RUN is an experiment's folder, a spec, or a stage's folder.
    for run in ("runs/small", "small.yaml", str(folder)):
        five = ("sample", run, "-n", "5", "--condition", "3", "-o", "out/five.npz", "--seed", "1")
        assert ganvas(monkeypatch, *five) == 0
        images = numpy.load("out/five.npz")["images"]
        assert images.shape == (5, 8, 8, 1)
        assert images.dtype == numpy.uint8
        if run == "runs/small":
            first = images
        assert numpy.array_equal(images, first)
    for sampler, same in (("{use: truncation, strength: 1}", True), ("truncation", False)):
        assert ganvas(monkeypatch, *five, "--sampler", sampler) == 0
        assert numpy.array_equal(numpy.load("out/five.npz")["images"], first) == same
    assert ganvas(monkeypatch, "sample", "runs/small", "-n", "9", "-o", "grid.png") == 0
    assert Image.open("grid.png").size == (3 * 9 + 1, 3 * 9 + 1)
    assert ganvas(monkeypatch, "sample", "runs/small", "--condition", "eleven") == 2
    assert "eleven" in capsys.readouterr().err

    capsys.readouterr()
    for sampler, said in (
        ("truncatio", "no sampler is called 'truncatio'; did you mean 'truncation'?"),
        ("{use: truncation, strength: 2}", "strength: must be at most 1, not 2"),
    ):
        assert ganvas(monkeypatch, "sample", "runs/small", "--sampler", sampler) == 2
        assert capsys.readouterr().err == f"--sampler {sampler}: {said}\n"

    assert ganvas(monkeypatch, "evaluate", "runs/small", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == stages["gan"]["metrics"]
    assert ganvas(monkeypatch, "evaluate", "runs/small", "--metric", "{use: diversity, samples: 40}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["diversity"]["protocol"]["samples"] == 40

    # Numbers of a sampler stand beside those without one, and say how they were drawn.
    capsys.readouterr()
    half = "{use: truncation, strength: 0.5}"
    assert ganvas(monkeypatch, "evaluate", "runs/small", "--sampler", half, "--json") == 0
    name = "diversity+truncation(strength 0.5)"
    truncated = json.loads(capsys.readouterr().out)
    settings = {"use": "truncation", "strength": 0.5, "method": "pull"}
    assert {key: found["protocol"]["sampler"] for key, found in truncated.items()} == {name: settings}
    assert truncated[name]["protocol"]["samples"] == 20
    wanted = ("--metric", "{use: diversity, samples: 40}", "--sampler", "{use: top-k, share: 0.5}")
    assert ganvas(monkeypatch, "evaluate", "runs/small", *wanted) == 0
    assert capsys.readouterr().out.startswith("diversity+top-k  ")
    assert ganvas(monkeypatch, "evaluate", "runs/small", "--json") == 0
    kept = json.loads(capsys.readouterr().out)
    assert list(kept) == ["diversity", name, "diversity+top-k"]
    assert kept["diversity"]["protocol"]["sampler"] == "none"
    assert kept["diversity"]["value"] != kept["diversity+top-k"]["value"]
    assert ganvas(monkeypatch, "evaluate", "runs/small", "--metric", "knn", "--sampler", "top-k") == 2
    assert capsys.readouterr().err == "--metric knn: knn is not measured on samples; leave out --sampler\n"

    # Rejection tells how many candidates it took.
    rejection = "{use: discriminator-rejection, burn_in: 100}"
    assert ganvas(monkeypatch, "sample", "runs/small", "-n", "9", "--sampler", rejection) == 0
    (said,) = re.findall(
        r"^9 images of gan: samples.png \((\d+ of \d+) candidates accepted\)\n$", capsys.readouterr().out
    )
    accepted, drawn = map(int, said.split(" of "))
    assert 9 <= accepted < drawn
    assert ganvas(monkeypatch, "evaluate", "runs/small", "--sampler", rejection) == 0
    assert re.fullmatch(r"gan: \d+ of \d+ candidates accepted\n", capsys.readouterr().err)

    # A stage's folder is a spec.
    assert ganvas(monkeypatch, "train", str(folder), "--json") == 0
    assert json.loads(capsys.readouterr().out)["stages"]["gan"]["status"] == "reused"

    # Two runs side by side; then one is removed.
    assert (
        ganvas(monkeypatch, "train", "small.yaml", "--set", "name=other", "--set", "stages.gan.loss=wasserstein") == 0
    )
    capsys.readouterr()
    assert ganvas(monkeypatch, "compare", "runs/small", "runs/other") == 2
    (other,) = Path("runs/other/gan").glob("*-*")
    assert capsys.readouterr().err == (
        f"diversity: unlike protocols: samples is 40 in runs/small/gan/{folder.name}, 20 in {other.parent.parent}/gan/"
        f"{other.name}; measure alike with `ganvas evaluate`, or give --force, which keeps them apart\n"
    )
    assert ganvas(monkeypatch, "compare", "runs/small", "runs/other", "--force", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["options"] == {
        "stages.gan.loss": {"a": "hinge", "b": "wasserstein"},
        "stages.gan.loss.margin": {"a": 1.0, "b": None},
        "stages.gan.loss.generator": {"a": "linear", "b": None},
    }
    assert list(shown["metrics"]) == [
        "diversity (samples 40)",
        "diversity (samples 20)",
        name,
        "diversity+top-k",
        "diversity+discriminator-rejection(burn_in 100)",
    ]
    # A row of each from the same latents, the first run's above the second's.
    both = ("compare", "runs/small", "runs/other", "--force", "-n", "5", "-o", "both.png")
    assert ganvas(monkeypatch, *both) == 0
    assert capsys.readouterr().err == "5 images of each, from the same latents: both.png\n"
    assert ganvas(monkeypatch, "sample", "runs/small", "-n", "5", "--seed", "0", "-o", "small.npz") == 0
    rows = numpy.asarray(Image.open("both.png").convert("L"))
    assert rows.shape == (2 * 9 + 1, 5 * 9 + 1)
    shown = rows[1:9, 1:].reshape(8, 5, 9)[..., :8].transpose(1, 0, 2).astype(int)
    assert abs(shown - numpy.load("small.npz")["images"][..., 0]).max() <= 1
    assert ganvas(monkeypatch, *both[:-1], "both.jpg") == 2
    assert "both.jpg must end in .png" in capsys.readouterr().err

    assert ganvas(monkeypatch, "clean", "runs/other") == 0
    assert capsys.readouterr().out.endswith(" would be removed; --yes removes\n")
    assert other.exists()
    assert ganvas(monkeypatch, "clean", "runs/other", "--yes") == 0
    assert "removed 1 stage, " in capsys.readouterr().out
    assert os.listdir("runs") == ["small"]
    assert ganvas(monkeypatch, "clean", "runs") == 2
    said = "runs: this is no run: neither a stage's folder (with a stage.json), nor an experiment's, nor a spec\n"
    assert capsys.readouterr().err == said
    assert ganvas(monkeypatch, "clean", "small.yaml", "--yes") == 0
    assert os.listdir("runs") == []
    capsys.readouterr()
    assert ganvas(monkeypatch, "clean", "small.yaml") == 2
    assert capsys.readouterr().err == "small.yaml: nothing of it is trained\n"
    assert ganvas(monkeypatch, "compare", "small.yaml", "nowhere") == 2
    assert capsys.readouterr().err.splitlines() == [
        "nowhere: there is no such file",
        "small.yaml: gan is not trained yet: run `ganvas train small.yaml`",
    ]


def test_a_stage_without_generator_has_no_sampler(here: Path, monkeypatch, capsys) -> None:
    Path("labels.yaml").write_text(
        "name: labels\ndataset: {use: digits}\nstages: {attributes: {use: classifier, steps: 2, batch_size: 8}}\n"
    )
    assert ganvas(monkeypatch, "train", "labels.yaml") == 0
    capsys.readouterr()
    assert ganvas(monkeypatch, "sample", "labels.yaml", "--sampler", "truncation") == 2
    said = "--sampler {}: the sampler {!r} needs a stage that can generate; 'classifier' cannot\n"
    assert capsys.readouterr().err == said.format(*["truncation"] * 2)
    for words in (("sample", "labels.yaml"), ("evaluate", "labels.yaml", "--metric", "diversity")):
        assert ganvas(monkeypatch, *words, "--sampler", "top-k") == 2
        assert capsys.readouterr().err == said.format(*["top-k"] * 2)
    assert ganvas(monkeypatch, "evaluate", "labels.yaml", "--sampler", "top-k") == 2
    assert capsys.readouterr().err == (
        "--sampler top-k: no metric of the stage's spec is measured on samples; name one with --metric\n"
    )
    wrong = "{use: discriminator-rejection, percentile: 0.8}"
    assert ganvas(monkeypatch, "sample", "labels.yaml", "--sampler", wrong) == 2
    assert capsys.readouterr().err == f"--sampler {wrong}: percentile is in percent: write 80, not 0.8\n"


def test_check_says_what_is_wrong_and_what_is_there(here: Path, monkeypatch, capsys) -> None:
    assert ganvas(monkeypatch, "check", "small.yaml") == 0
    printed = capsys.readouterr().out
    assert "small.yaml: no mistakes" in printed
    assert "parameters" in printed
    assert ganvas(monkeypatch, "check", "small.yaml", "--resolved") == 0
    Path("whole.yaml").write_text(capsys.readouterr().out)
    assert ganvas(monkeypatch, "check", "whole.yaml", "--resolved") == 0
    assert capsys.readouterr().out == Path("whole.yaml").read_text()
    assert ganvas(monkeypatch, "check", "small.yaml", "--set", "stages.gan.loss=hing") == 2
    said = "--set stages.gan.loss=hing: stages.gan.loss: no loss is called 'hing'; did you mean 'hinge'?\n"
    assert capsys.readouterr().err == said
    assert ganvas(monkeypatch, "check", "nothing.yaml") == 2
    assert capsys.readouterr().err == "nothing.yaml: there is no such file\n"


def test_check_counts_what_a_loss_owns(here: Path, monkeypatch, capsys) -> None:
    (here / "felt.py").write_text(
        "from torch import nn\nfrom ganvas import Loss\nclass Felt(Loss):\n"
        "    def __init__(self):\n        super().__init__()\n        self.critic = nn.Linear(64, 20)\n"
        "    def discriminator(self, real, fake): return self.critic(fake.samples.flatten(1)).mean()\n"
        "    def generator(self, fake, real): return -self.critic(fake.samples.flatten(1)).mean()\n"
    )
    (here / "registry.yaml").write_text("components: {loss: {felt: ./felt.py:Felt}}\n")
    settings = ["--set", "stages.gan.loss=felt", "--set", "stages.gan.optimizers={generator: adam, discriminator: sgd}"]
    averaged = "stages.gan.ema={half_life: 100, networks: [LOSS]}"
    assert ganvas(monkeypatch, "check", "small.yaml", *settings, "--set", averaged.replace("LOSS", "loss")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["generator", "discriminator", "loss"]
    assert lines[2] == "gan              loss                        1,300 parameters"
    assert ganvas(monkeypatch, "check", "small.yaml", *settings, "--set", averaged.replace("LOSS", "lost")) == 2
    said = "stages.gan.ema.networks: there is no network 'lost' to average; did you mean 'loss'?\n"
    assert capsys.readouterr().err.endswith(said)


def test_exit_statuses(here: Path, monkeypatch, capsys) -> None:
    settings = ["--set", "stages.gan.loss=least-squares", "--set", "stages.gan.optimizers={use: sgd, lr: 1e30}"]
    assert ganvas(monkeypatch, "train", "small.yaml", *settings) == 3
    assert "became" in capsys.readouterr().err
    missing = ["--set", "dataset={use: cifar10, root: ./nowhere}"]
    assert ganvas(monkeypatch, "train", "small.yaml", *missing) == 4
    said = capsys.readouterr().err
    assert "CIFAR-10 is not in" in said
    assert said.count("\n") == 1
    assert ganvas(monkeypatch, "check", "small.yaml", *missing) == 0
    assert ganvas(monkeypatch, "train", "small.yaml", "--device", "warp") == 4
    assert "there is no device called 'warp'" in capsys.readouterr().err
    assert ganvas(monkeypatch, "trian") == 2
    assert ganvas(monkeypatch, "sample", "runs/nothing") == 2
    assert ganvas(monkeypatch, "sample", "small.yaml") == 4
    assert "is not trained yet: run `ganvas train small.yaml`" in capsys.readouterr().err


def test_an_internal_error_has_a_traceback_and_status_1(here: Path, monkeypatch, capsys) -> None:
    (here / "broken.py").write_text(
        "from ganvas import Loss\nclass Broken(Loss):\n    def discriminator(self, real, fake): return 1 / 0\n"
        "    def generator(self, fake, real): return fake.scores.mean()\n"
    )
    (here / "registry.yaml").write_text("components: {loss: {broken: ./broken.py:Broken}}\n")
    assert ganvas(monkeypatch, "train", "small.yaml", "--set", "stages.gan.loss=broken") == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "broken.py" in said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_signals_save_and_exit(here: Path, number: signal.Signals, status: int) -> None:
    words = [sys.executable, "-m", "ganvas", "train", "small.yaml", "--set", "stages.gan.steps=100000"]
    child = subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    for _ in range(600):
        logs = list(here.glob("runs/small/gan/*/metrics.jsonl"))
        if logs and logs[0].stat().st_size > 0:
            break
        time.sleep(0.1)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == status, said
    assert f"stopped by {number.name} at iteration" in said
    assert "Traceback" not in said
    saved = list(here.glob("runs/small/gan/*/checkpoints/*.safetensors"))
    assert len(saved) == 1
    assert f"at iteration {int(saved[0].stem)} of 100000" in said
    assert not list(here.glob("runs/small/gan/*/lock.json"))


def test_list_show_plugins_and_schema(here: Path, monkeypatch, capsys) -> None:
    assert ganvas(monkeypatch, "list", "loss") == 0
    assert "  hinge " in capsys.readouterr().out
    assert ganvas(monkeypatch, "list", "loss", "--json") == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(listed["hinge"]) == {"kind", "name", "summary", "source", "plugin", "options"}
    margin = next(option for option in listed["hinge"]["options"] if option["name"] == "margin")
    assert set(margin) == {"name", "type", "default", "required", "description"}
    assert ganvas(monkeypatch, "list", "lose") == 2
    assert "did you mean 'loss'?" in capsys.readouterr().err
    assert ganvas(monkeypatch, "show", "loss/hinge") == 0
    page = capsys.readouterr().out
    for part in ("max(0", "Geometric GAN", "margin: number (> 0), default 1.0", "Plugin: ganvas"):
        assert part in page
    assert ganvas(monkeypatch, "show", "loss/hing") == 2
    assert ganvas(monkeypatch, "plugins", "--json") == 0
    (bundled,) = json.loads(capsys.readouterr().out)
    assert set(bundled) == {"name", "origin", "version", "status", "error", "components"}
    assert bundled["status"] == "loaded"
    assert ganvas(monkeypatch, "schema", "-o", "schema.json") == 0
    schema = json.loads(Path("schema.json").read_text())
    assert {"margin", "generator"} < set(schema["definitions"]["loss/hinge"]["properties"])
