"""What is trained, what is reused, what is said about it."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import ganvas
from ganvas.engine import states
from ganvas.engine.errors import NonFinite, ResourceError
from ganvas.kinds.data import MissingData
from ganvas.registry.documents import Mistakes
from ganvas.runs.api import read
from ganvas.runs.experiment import Reporter, train_experiment

sys.path.insert(0, str(Path(__file__).parent))
import training_child

SPEC = """
name: small
dataset: {use: digits}
stages:
  features:
    use: self-supervised
    encoder: {use: simclr, projection: 8}
    backbone: {use: timm, model: test_resnet, stem: original}
    augmentation: {use: simclr-views, blur: 0}
    steps: 2
    batch_size: 16
  attributes: {use: classifier, encoder: features, steps: 2, batch_size: 16}
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    condition: labels
    loss: hinge
    regularizers: [{use: classification, classifier: attributes}]
    steps: 4
    batch_size: 8
    ema: 50
"""
GAN = """
name: alone
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    steps: 4
    batch_size: 8
    log_every: 2
"""


class Listener(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    warn = say

    @contextmanager
    def stage(self, name: str, progress: object) -> Iterator[None]:
        self.lines.append(f"training {name}")
        yield


def train(spec: Path, runs: Path, *settings: str, fresh: tuple[str, ...] = ()) -> tuple[dict, list[str]]:
    listener = Listener()
    results = train_experiment(read(spec, settings), runs, torch.device("cpu"), listener, fresh)
    return results, listener.lines


def trained(results: dict) -> list[str]:
    return [name for name, result in results.items() if result.status == "trained"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return states.load(folder / "model.safetensors")["algorithm"]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def gan(tmp_path: Path) -> Path:
    path = tmp_path / "alone.yaml"
    path.write_text(GAN)
    return path


def test_what_does_not_change_is_not_trained_twice(spec: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first, _ = train(spec, runs)
    assert trained(first) == ["features", "attributes", "gan"]

    again, lines = train(spec, runs)
    assert trained(again) == []
    assert not [line for line in lines if line.startswith("training ")]
    assert f"gan: trained already, in {first['gan'].folder}" in lines

    encoder, lines = train(spec, runs, "stages.features.encoder.temperature=0.3")
    assert trained(encoder) == ["features", "attributes", "gan"]
    assert any("encoder.temperature: 0.5 -> 0.3" in line for line in lines)

    loss, lines = train(spec, runs, "stages.gan.loss=wasserstein")
    assert trained(loss) == ["gan"]
    assert loss["features"].folder == first["features"].folder
    assert loss["gan"].folder.name.startswith("loss-wasserstein-")
    assert any(line.startswith("gan: training anew, because") and '"hinge"' not in line for line in lines)

    renamed, _ = train(spec, runs, "name=other")
    assert trained(renamed) == []
    assert renamed["gan"].folder == first["gan"].folder
    last = json.loads((runs / "other" / "last.json").read_text())["stages"]
    assert (runs / "other" / last["gan"]).resolve() == first["gan"].folder.resolve()

    cosmetic, _ = train(spec, runs, "stages.gan.log_every=1", "stages.gan.checkpoint.keep=1")
    assert trained(cosmetic) == []


def test_a_label_says_what_reaches_the_stage(spec: Path, tmp_path: Path) -> None:
    """What a sweep chose for later stages is in no label of an earlier one; a key has one folder under any label."""
    spec.write_text(
        SPEC
        + """
sweep:
  stages.gan.loss: [hinge, {use: wasserstein}]
  small: {stages.gan.generator.channels: 2, stages.attributes.batch_size: 8}
  few: {stages.gan.generator.channels: 3, stages.attributes.batch_size: 8}
"""
    )
    experiment = read(spec)
    folders = []
    for member in experiment.members[1:]:
        results = train_experiment(member, tmp_path / "runs", torch.device("cpu"))
        folders.append([results[name].folder.relative_to(tmp_path / "runs/small") for name in member.stages])
    names = [[folder.name.rpartition("-")[0] for folder in one] for one in folders]
    assert names[0] == ["", "few", "loss-hinge_few"]
    assert names[1] == ["", "few", "loss-wasserstein_small"]  # the same attributes as those that are called few
    assert names[2] == ["", "few", "loss-wasserstein_few"]
    assert len({one[1] for one in folders}) == 1


def test_the_record_says_what_a_stage_was_made_of(spec: Path, tmp_path: Path) -> None:
    results, _ = train(spec, tmp_path / "runs", "seed=3")
    records = {name: json.loads((result.folder / "stage.json").read_text()) for name, result in results.items()}
    assert records["features"]["ancestors"] == {}
    assert records["gan"]["ancestors"] == {
        name: {"key": records[name]["key"], "parts": records[name]["parts"]} for name in ("features", "attributes")
    }
    written = records["attributes"]["written"]
    assert {"seed", "dataset", "stages.features.encoder.projection", "stages.attributes.steps"} <= set(written)
    assert not [
        path for path in written if path.startswith("stages.gan") or path == "stages.features.encoder.temperature"
    ]


def test_renaming_a_stage_gives_the_same_weights(gan: Path, tmp_path: Path) -> None:
    first, _ = train(gan, tmp_path / "one")
    other = tmp_path / "other.yaml"
    other.write_text(GAN.replace("  gan:\n", "  painter:\n"))
    again, _ = train(other, tmp_path / "two")
    one, two = weights(first["gan"].folder), weights(again["painter"].folder)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert first["gan"].folder.name == again["painter"].folder.name


def test_editing_a_component_retrains_who_uses_it(tmp_path: Path) -> None:
    loss = tmp_path / "my_loss.py"
    source = '''
from ganvas import Loss

class Mine(Loss):
    """A loss."""
    def discriminator(self, real, fake):
        return (fake.scores - real.scores).mean()
    def generator(self, fake, real):
        return -fake.scores.mean()
'''
    loss.write_text(source)
    (tmp_path / "registry.yaml").write_text("components: {loss: {mine: ./my_loss.py:Mine}}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(GAN.replace("steps: 4", "loss: mine\n    steps: 4"))
    runs = tmp_path / "runs"
    first, _ = train(spec, runs)
    loss.write_text(source.replace('"""A loss."""', '"""A better explained loss."""') + "\n# a remark\n")
    assert trained(train(spec, runs)[0]) == []
    loss.write_text(source.replace("return -fake", "return -2 * fake"))
    again, lines = train(spec, runs)
    assert trained(again) == ["gan"]
    assert "gan: training anew, because loss 'mine': ./my_loss.py changed" in lines
    assert again["gan"].folder != first["gan"].folder


def test_more_steps_go_on_with_the_bits_of_a_run_that_went_through(gan: Path, tmp_path: Path) -> None:
    train(gan, tmp_path / "runs")
    more, lines = train(gan, tmp_path / "runs", "stages.gan.steps=9")
    assert any("going on from 4 iterations" in line for line in lines)
    assert any("going on at iteration 4 of 9" in line for line in lines)
    whole, _ = train(gan, tmp_path / "whole", "stages.gan.steps=9")
    one, two = weights(more["gan"].folder), weights(whole["gan"].folder)
    assert all(torch.equal(one[name], two[name]) for name in two)
    iterations = [json.loads(x)["iteration"] for x in (more["gan"].folder / "metrics.jsonl").read_text().splitlines()]
    assert iterations == [2, 4, 6, 8, 9]


def test_more_steps_start_anew_where_a_schedule_read_the_length(gan: Path, tmp_path: Path) -> None:
    schedule = "stages.gan.optimizers={use: adam, lr: {from: 1e-3, to: 0}}"
    train(gan, tmp_path, schedule)
    more, lines = train(gan, tmp_path, schedule, "stages.gan.steps=6")
    assert trained(more) == ["gan"]
    assert any("training anew, because something in it follows the number of steps" in line for line in lines)
    assert not any("going on" in line for line in lines)
    # A schedule with a span of its own does not follow the length.
    own = "stages.gan.optimizers={use: adam, lr: {from: 1e-3, to: 0, over: {iterations: 5}}}"
    train(gan, tmp_path, own)
    assert any("going on at iteration 4" in line for line in train(gan, tmp_path, own, "stages.gan.steps=6")[1])


def test_weights_with_and_without_evaluation_have_the_same_bits(gan: Path, tmp_path: Path) -> None:
    plain, _ = train(gan, tmp_path / "plain", "stages.gan.ema=30")
    metrics = "{every: 1, metrics: [{use: diversity, samples: 20}]}"
    with_labels = "stages.gan.condition=labels"
    plain, _ = train(gan, tmp_path / "plain", with_labels)
    watched, _ = train(gan, tmp_path / "watched", with_labels, f"stages.gan.evaluate={metrics}")
    assert plain["gan"].folder.name.rpartition("-")[2] == watched["gan"].folder.name.rpartition("-")[2]
    one, two = weights(plain["gan"].folder), weights(watched["gan"].folder)
    assert all(torch.equal(one[name], two[name]) for name in one)
    lines = [json.loads(line) for line in (watched["gan"].folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "metric/diversity" in line] == [1, 2, 3, 4]


def test_a_finished_stage_with_a_new_metric_is_measured_not_trained(gan: Path, tmp_path: Path) -> None:
    train(gan, tmp_path, "stages.gan.condition=labels")
    metrics = "stages.gan.evaluate={metrics: [{use: diversity, samples: 20}]}"
    results, lines = train(gan, tmp_path, "stages.gan.condition=labels", metrics)
    assert trained(results) == []
    assert results["gan"].metrics["diversity"]["better"] == "higher"
    assert not [line for line in lines if line.startswith("training ")]


def test_fresh_trains_anew_and_deletes_nothing(gan: Path, tmp_path: Path) -> None:
    first, _ = train(gan, tmp_path)
    model = (first["gan"].folder / "model.safetensors").read_bytes()
    again, _ = train(gan, tmp_path, fresh=("gan",))
    assert trained(again) == ["gan"]
    old = [path for path in first["gan"].folder.parent.iterdir() if ".old-" in path.name]
    assert len(old) == 1
    assert (old[0] / "model.safetensors").read_bytes() == model
    assert trained(train(gan, tmp_path)[0]) == []
    with pytest.raises(Mistakes, match="--fresh gam: there is no stage 'gam'; did you mean 'gan'"):
        train(gan, tmp_path, fresh=("gam",))


def test_a_moved_folder_opens_and_trains_on(gan: Path, tmp_path: Path) -> None:
    results, _ = train(gan, tmp_path / "runs", "stages.gan.condition=labels")
    before = ganvas.load(results["gan"].folder)["gan"].sample(4, condition=3, seed=1)
    moved = tmp_path / "elsewhere" / "folder"
    shutil.copytree(results["gan"].folder, moved)
    shutil.rmtree(tmp_path / "runs")
    run = ganvas.load(moved)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(run["gan"].sample(4, condition=3, seed=1), before)
    assert torch.equal(torch.rand(3), expected)  # sampling leaves the caller's random numbers alone
    assert before.shape == (4, 1, 8, 8)
    assert before.abs().max() <= 1
    # The folder's own spec is a spec, and gives the same key.
    again, _ = train(moved / "spec.yaml", tmp_path / "again")
    assert again["gan"].folder.name.endswith(moved.joinpath("stage.json").read_text().split('"key": "')[1][:12])


def test_a_stage_opens_with_all_that_it_uses(spec: Path, tmp_path: Path) -> None:
    results, _ = train(spec, tmp_path / "runs")
    alone = tmp_path / "alone"
    shutil.copytree(results["attributes"].folder, alone)
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    expected = ganvas.load(tmp_path / "runs" / "small")["attributes"].classify(images)
    shutil.rmtree(tmp_path / "runs")
    assert torch.equal(ganvas.load(alone)["attributes"].classify(images), expected)


def test_a_finished_folder_serves_as_a_trained_part(spec: Path, tmp_path: Path) -> None:
    results, _ = train(spec, tmp_path / "runs")
    folder = results["features"].folder
    other = tmp_path / "other.yaml"
    other.write_text(
        f"dataset: digits\nstages:\n  probe: {{use: classifier, encoder: {folder}, steps: 2, batch_size: 16}}\n"
    )
    probe, _ = train(other, tmp_path / "second")
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    expected = ganvas.load(probe["probe"].folder)["probe"].classify(images)
    shutil.rmtree(tmp_path / "runs")  # the folder it named is gone; what was taken from it is not
    assert torch.equal(ganvas.load(probe["probe"].folder)["probe"].classify(images), expected)


def test_start_initialises_equally_named_networks(gan: Path, tmp_path: Path) -> None:
    first, _ = train(gan, tmp_path)
    text = GAN.replace("name: alone", "name: second").replace("steps: 4", f"start: {first['gan'].folder}\n    steps: 1")
    second = tmp_path / "second.yaml"
    second.write_text(text.replace("steps: 1", "steps: 1\n    optimizers: {use: sgd, lr: 0}"))
    results, _ = train(second, tmp_path)
    one, two = weights(first["gan"].folder), weights(results["gan"].folder)
    assert all(torch.equal(one[name], two[name]) for name in one if "running" not in name and "num_" not in name)
    second.write_text(text.replace("channels: 4}", "channels: 6}"))
    with pytest.raises(ResourceError, match=r"does not fit.*size mismatch"):
        train(second, tmp_path)


def test_a_checkpoint_of_another_spec_is_refused_and_kept(gan: Path, tmp_path: Path) -> None:
    first, _ = train(gan, tmp_path / "one")
    other, _ = train(gan, tmp_path / "two", "stages.gan.discriminator.channels=6")
    (other["gan"].folder / "model.safetensors").unlink()
    for old in (other["gan"].folder / "checkpoints").iterdir():
        old.unlink()
    foreign = next((first["gan"].folder / "checkpoints").glob("*.safetensors"))
    copied = Path(shutil.copy(foreign, other["gan"].folder / "checkpoints"))
    with pytest.raises(ResourceError, match=r"does not belong to this spec.*--fresh gan"):
        train(gan, tmp_path / "two", "stages.gan.discriminator.channels=6")
    assert copied.read_bytes() == foreign.read_bytes()


def test_non_finite_names_term_iteration_and_last_state(gan: Path, tmp_path: Path) -> None:
    # The first iteration leaves the weights alone, the second throws them away.
    rate = "{use: sgd, lr: {from: 0, to: 1e30, over: {iterations: 2}}}"
    settings = (f"optimizers={rate}", "steps=20", "checkpoint={every: 1}", "log_every=10", "loss=least-squares")
    with pytest.raises(NonFinite) as caught:
        train(gan, tmp_path, *(f"stages.gan.{setting}" for setting in settings))
    said = str(caught.value)
    assert said.startswith("gan: the term 'loss/generator.adversarial' became ")
    assert "in iteration 2; the last good state is " in said
    checkpoint = Path(said.partition("the last good state is ")[2].partition(". A smaller")[0])
    state = states.load(checkpoint)
    assert state["index"] == 1


def test_a_portrait_is_drawn_once_when_the_stage_has_finished(tmp_path: Path) -> None:
    spec = tmp_path / "alone.yaml"
    spec.write_text(SPEC.partition("  attributes:")[0])
    first, _ = train(spec, tmp_path / "runs")
    folder = first["features"].folder
    drawn = [*folder.glob("samples/embedding*"), *folder.glob("projector_config.pbtxt"), *folder.glob("00032/*/*")]
    assert sorted(str(path.relative_to(folder)) for path in drawn) == [
        "00032/embedding/metadata.tsv",
        "00032/embedding/sprite.png",
        "00032/embedding/tensors.tsv",
        "projector_config.pbtxt",
        "samples/embedding-000000002.png",
    ]
    stamps = [path.stat().st_mtime_ns for path in drawn]
    assert train(spec, tmp_path / "runs", "stages.features.portrait=0")[0]["features"].folder == folder
    assert trained(train(spec, tmp_path / "runs")[0]) == []
    assert [path.stat().st_mtime_ns for path in drawn] == stamps


def test_missing_data_stop_training_before_it_starts(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(GAN.replace("{use: digits}", "{use: cifar10, root: ./nowhere}"))
    with pytest.raises(MissingData, match=r"CIFAR-10 is not in .*nowhere"):
        train(spec, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_unwritable_runs_folder_is_one_clear_line(gan: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ResourceError, match=r"the runs folder .*file/runs cannot be written"):
        train(gan, file / "runs")


HOLDING = """
import pathlib, time
from ganvas import Loss

class Holding(Loss):
    def discriminator(self, real, fake):
        here = pathlib.Path(__file__).parent
        if not (here / "go").exists() and not (here / "killed").exists():
            (here / "reached").touch()
            while not (here / "go").exists():
                time.sleep(0.05)
        return (fake.scores - real.scores).mean()
    def generator(self, fake, real):
        return -fake.scores.mean()
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_two_processes_train_a_stage_once(tmp_path: Path, killed: bool) -> None:
    (tmp_path / "holding.py").write_text(HOLDING)
    (tmp_path / "registry.yaml").write_text("components: {loss: {holding: ./holding.py:Holding}}\n")
    spec = tmp_path / "alone.yaml"
    spec.write_text(GAN.replace("steps: 4", "loss: holding\n    steps: 4"))
    processes = multiprocessing.get_context("spawn")
    first, second = (
        processes.Process(target=training_child.train, args=(str(spec), str(tmp_path / "runs"), str(tmp_path / name)))
        for name in ("first", "second")
    )
    first.start()
    wait_until(lambda: (tmp_path / "reached").exists())
    second.start()
    wait_until(lambda: "is being written by process" in said(tmp_path / "second"))
    if killed:
        (tmp_path / "killed").touch()
        first.kill()
    else:
        (tmp_path / "go").touch()
        first.join(120)
        assert "trained: ['gan']" in said(tmp_path / "first")
    second.join(120)
    assert second.exitcode == 0
    assert f"trained: {['gan'] if killed else []}" in said(tmp_path / "second")
    assert len(list(tmp_path.glob("runs/alone/gan/*/model.safetensors"))) == 1


def said(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_until(there: Callable[[], bool]) -> None:
    for _ in range(1200):
        if there():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")
