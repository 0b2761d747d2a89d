"""Exact resume: killed at any moment and started again, a run ends with the bits of one that never stopped."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganvas.engine import states
from ganvas.registry.plugins import Host

sys.path.insert(0, str(Path(__file__).parent))
import killing
from killing import assert_same

# A server that has imported torch already forks children in no time; no thread of torch's runs in it, so that is safe.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["ganvas.runs.api", *{str(entry.target).partition(":")[0] for entry in Host().entries()}, "sklearn.cluster"]
)

GAN = """
name: gan
dataset: {use: digits, flip: true}
stages:
  gan:
    use: gan
    generator: {use: eigengan, channels: 4, basis: 2, noise: 4, hidden: 8}
    discriminator: {use: global, channels: 4}
    condition: labels
    loss: hinge
    augmentation: diffaugment
    discriminator_steps: {value: 1, every: [5, 2]}
    regularizers:
      - {use: r1, every: 3, own_step: true}
      - {use: orthogonality, every: 2}
      - {use: gradient-penalty, every: 4}
    optimizers: {use: adam, lr: {from: 1e-3, to: 1e-4, shape: cosine}}
    steps: 24
    batch_size: 16
    ema: {half_life: {from: 0, to: 200}}
    log_every: 4
    pictures_every: 8
    health: {every: 4, samples: 16}
    checkpoint: {every: 5}
"""

CHAIN = """
name: chain
dataset: {use: digits}
stages:
  features:
    use: self-supervised
    portrait: 0
    encoder: {use: simclr, projection: 8}
    backbone: {use: timm, model: test_resnet, stem: original}
    augmentation: {use: simclr-views, blur: 0}
    steps: 10
    batch_size: 16
    log_every: 3
    checkpoint: {every: 4}
  attributes:
    use: classifier
    encoder: features
    condition: {use: clusters, encoder: features, clusters: 4, restarts: 1}
    steps: 12
    batch_size: 32
    log_every: 5
    checkpoint: {every: 5}
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    condition: {use: clusters, encoder: features, clusters: 4, restarts: 1}
    regularizers: [{use: classification, classifier: attributes, every: 2}]
    steps: 10
    batch_size: 16
    log_every: 3
    checkpoint: {every: 3}
"""

CYCLEGAN = """
name: cycle
dataset: {use: unpaired, a: {use: digits, part: train, holdout: 0.5}, b: {use: digits, part: holdout, holdout: 0.5}}
stages:
  cycle:
    use: cyclegan
    translator: {use: resnet, channels: 4, blocks: 1}
    discriminator: {use: patch, channels: 4, layers: 1, norm: instance}
    pool: 6
    steps: 14
    batch_size: 2
    health: {every: 3, samples: 4}
    log_every: 3
    checkpoint: {every: 4}
"""

LEARNED = """
name: learned
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    loss: felt
    regularizers: [{use: recovers, weight: 0.5, every: 2, own_step: true}]
    steps: 12
    batch_size: 8
    ema: {half_life: 50, networks: [generator, loss]}
    checkpoint: {every: 5}
"""

PARTS = """
from torch import nn
from torch.nn.functional import softplus

from ganvas import Loss, Regularizer


class Felt(Loss):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 1))

    def discriminator(self, real, fake):
        felt = self.critic(fake.samples.flatten(1)) - self.critic(real.samples.flatten(1))
        return {"scores": softplus(fake.scores - real.scores).mean(), "felt": softplus(felt).mean()}

    def generator(self, fake, real):
        return softplus(-fake.scores).mean() + softplus(-self.critic(fake.samples.flatten(1))).mean()


class Recovers(Regularizer):
    joins = frozenset({"generator"})

    def __init__(self, duel, **options):
        super().__init__(duel, **options)
        self.q = nn.Linear(64, 4)

    def penalty(self, match):
        return (self.q(match.fake.flatten(1)) - match.latents).square().mean()
"""

REGISTRY = "components: {loss: {felt: ./parts.py:Felt}, regularizer: {recovers: ./parts.py:Recovers}}"

# What encoders keep besides the weights that are trained: targets that follow, a queue, the optimizer's velocities.
ENCODERS = """
name: encoders
dataset: {use: digits}
stages:
  queue:
    use: self-supervised
    portrait: 0
    encoder: {use: moco, projection: 8, queue: 40, momentum: 0.9}
    backbone: &backbone {use: timm, model: test_resnet, stem: original}
    optimizers: {use: lars, lr: {from: 0.2, to: 0, shape: cosine, warm_up: 0.25}}
    steps: 9
    batch_size: 16
    log_every: 3
    checkpoint: {every: 4}
  target:
    use: self-supervised
    portrait: 0
    encoder: {use: byol, projection: 8, hidden: 8}
    backbone: *backbone
    steps: 6
    batch_size: 16
    log_every: 3
    checkpoint: {every: 2}
"""


def run(spec: Path, runs: Path, moment: dict | None = None, kill_after: float | None = None) -> int:
    """Trains in a child; returns its exit code."""
    child = processes.Process(target=killing.train, args=(str(spec), str(runs), moment))
    child.start()
    if kill_after is not None:
        time.sleep(kill_after)
        child.kill()
    child.join(180)
    assert child.exitcode is not None, "the training hangs"
    return child.exitcode


def ended(runs: Path) -> dict[str, dict]:
    """Everything a run leaves, by stage: the last state, the model, the logged scalars but those of time."""
    found = {}
    for record in sorted(runs.glob("*/*/*/stage.json")):
        folder = record.parent
        last = sorted((folder / "checkpoints").glob("[0-9]*.safetensors"))[-1]
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found[folder.parent.name] = {
            "state": states.load(last),
            "model": states.load(folder / "model.safetensors"),
            "scalars": [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines],
            "events": events(folder),
        }
    return found


def events(folder: Path) -> dict[str, list]:
    """What TensorBoard reads, by tag."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    tags = [tag for tag in accumulator.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags}


@pytest.fixture(
    scope="module",
    params=["gan", pytest.param("chain", marks=pytest.mark.slow), pytest.param("cyclegan", marks=pytest.mark.slow)],
)
def reference(request, tmp_path_factory):
    """A spec and what its uninterrupted run left."""
    folder = tmp_path_factory.mktemp(request.param)
    spec = folder / "spec.yaml"
    spec.write_text({"gan": GAN, "chain": CHAIN, "cyclegan": CYCLEGAN}[request.param])
    assert run(spec, folder / "whole") == 0
    return spec, ended(folder / "whole")


MOMENTS = {
    "in the first iterations": [{"draw": 3}],
    "after a checkpoint, twice": [{"draw": 8}, {"draw": 4}],
    "while half a state is written": [{"write": 2, "where": "half"}],
    "before a state is renamed": [{"write": 3, "where": "before"}],
    "right after a state is there": [{"write": 1, "where": "after"}, {"write": 2, "where": "after"}],
    "near the end and at the model": [{"draw": 22}, {"write": 3, "where": "half"}, {"write": 2, "where": "before"}],
}


@pytest.mark.parametrize("moments", MOMENTS.values(), ids=MOMENTS.keys())
def test_killed_at_a_chosen_moment(reference, tmp_path: Path, moments: list[dict]) -> None:
    spec, whole = reference
    for moment in moments:
        code = run(spec, tmp_path, moment)
        assert code in (-signal.SIGKILL, 0), f"exit {code} at {moment}"
    assert run(spec, tmp_path) == 0
    assert_same(ended(tmp_path), whole)


@pytest.mark.slow
def test_networks_of_a_loss_and_of_a_regularizer_go_on(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(LEARNED)
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "registry.yaml").write_text(REGISTRY)
    assert run(spec, tmp_path / "whole") == 0
    for moment in ({"draw": 8}, {"draw": 4}):
        assert run(spec, tmp_path / "killed", moment) == -signal.SIGKILL
    assert run(spec, tmp_path / "killed") == 0
    killed = ended(tmp_path / "killed")
    assert_same(killed, ended(tmp_path / "whole"))
    state = killed["gan"]["state"]
    (early,) = {path for path in (tmp_path / "killed").glob("*/*/*/checkpoints/*.safetensors") if int(path.stem) == 10}
    for name in ("duel.loss.critic.0.weight", "duel.regularizers.0.q.weight"):
        assert not torch.equal(state["algorithm"][name], states.load(early)["algorithm"][name]), name
    assert list(state["average"]) == ["generator", "loss"]


def test_goes_on_and_not_from_the_start(reference, tmp_path: Path) -> None:
    spec, whole = reference
    assert run(spec, tmp_path, {"write": 2, "where": "after"}) == -signal.SIGKILL
    folder = next(tmp_path.glob("*/*/*/checkpoints")).parent
    newest = sorted((folder / "checkpoints").glob("[0-9]*.safetensors"))[-1]
    done = states.load(newest)["index"]
    assert done > 0
    # The batches that the second process draws are those that are left, and no more.
    steps = states.load(newest)["batches"]["positions"][0]
    assert run(spec, tmp_path, {"draw": 1}) == -signal.SIGKILL
    assert states.load(newest)["batches"]["positions"][0] == steps
    assert run(spec, tmp_path) == 0
    assert_same(ended(tmp_path), whole)


@pytest.mark.slow
def test_targets_and_queues_go_on(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(ENCODERS)
    assert run(spec, tmp_path / "whole") == 0
    for moment in ({"draw": 6}, {"draw": 7}, {"draw": 3}):
        assert run(spec, tmp_path / "killed", moment) == -signal.SIGKILL
    assert run(spec, tmp_path / "killed") == 0
    whole = ended(tmp_path / "whole")
    assert_same(ended(tmp_path / "killed"), whole)
    assert {"encoder.queue", "encoder.oldest"} < set(whole["queue"]["state"]["algorithm"])
    assert whole["queue"]["state"]["algorithm"]["encoder.oldest"] == 9 * 16 % 40


@pytest.mark.slow
def test_killed_at_random_times(reference, tmp_path: Path) -> None:
    spec, whole = reference
    chance = random.Random(len(whole))
    kills = 0
    for _ in range(6):
        if run(spec, tmp_path, kill_after=chance.uniform(0.2, 2.5)) == 0:
            break
        kills += 1
    assert kills > 0
    assert run(spec, tmp_path) == 0
    assert_same(ended(tmp_path), whole)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(reference, tmp_path: Path) -> None:
    spec, whole = reference
    assert run(spec, tmp_path, {"write": 2, "where": "after"}) == -signal.SIGKILL
    checkpoints = sorted(next(tmp_path.glob("*/*/*/checkpoints")).glob("[0-9]*.safetensors"))
    content = bytearray(checkpoints[-1].read_bytes())
    content[-20] ^= 0xFF  # one byte of one tensor
    checkpoints[-1].write_bytes(bytes(content))
    with pytest.raises(states.BrokenState, match="checksum"):
        states.load(checkpoints[-1])
    assert run(spec, tmp_path) == 0
    assert_same(ended(tmp_path), whole)
