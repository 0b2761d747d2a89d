"""Several processes train as one would: the same batches, the same latents, the same weights up to rounding."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganvas import Data, gather
from ganvas.cli import main
from ganvas.engine import parallel, states
from ganvas.engine.batches import Batches
from ganvas.engine.errors import NonFinite, ResourceError
from ganvas.engine.parallel import World, synchronise_batch_norm
from ganvas.engine.randomness import Randomness
from ganvas.engine.scalars import Log
from ganvas.kinds.algorithm import Step
from ganvas.registry.documents import Mistakes
from ganvas.registry.plugins import Host
from ganvas.runs import experiment
from ganvas.runs.api import check, choose_device

sys.path.insert(0, str(Path(__file__).parent))
import ranks
from killing import assert_same

ranks.processes.set_forkserver_preload(
    ["ganvas.cli.main", "ganvas.runs.api", *{str(entry.target).partition(":")[0] for entry in Host().entries()}]
)

CPU = torch.device("cpu")


@pytest.fixture
def of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Makes this process one of several, which it cannot speak to."""

    def become(rank: int, size: int) -> World:
        monkeypatch.setattr(parallel, "_world", World(rank, size, rank, size))
        return parallel.world()

    return become


# -- who, what, when: pure functions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("resident", [True, False])
def test_an_epoch_is_dealt_out_exactly_once(size: int, resident: bool, numbered: type) -> None:
    if not resident and size == 4:
        pytest.skip("workers of two ranks are enough")

    def dealt(world: World, times: int) -> list[list[int]]:
        stream = Batches(Data(numbered(10, resident=resident)), 4, Randomness(0, CPU), CPU, world)
        found = [stream.draw()["index"].tolist() for _ in range(times)]
        assert stream.state() == {"positions": [["", 4, 4 * times]]}
        stream.close()
        return found

    whole = dealt(World(), 10)
    shares = [dealt(World(rank, size, rank, size), 10) for rank in range(size)]
    together = [[index for share in shares for index in share[batch]] for batch in range(10)]
    assert together == whole
    order = [index for batch in together for index in batch]
    assert [sorted(order[start : start + 10]) for start in range(0, 40, 10)] == [list(range(10))] * 4


def test_another_number_of_processes_goes_on_where_the_others_were(numbered: type) -> None:
    def stream(rank: int, size: int) -> Batches:
        return Batches(Data(numbered(10)), 4, Randomness(0, CPU), CPU, World(rank, size))

    alone = stream(0, 1)
    whole = [alone.draw()["index"].tolist() for _ in range(4)]
    pair = [stream(rank, 2) for rank in range(2)]
    for _ in range(2):
        _ = [one.draw() for one in pair]
    for size in (1, 4):
        later = [stream(rank, size) for rank in range(size)]
        for one in later:
            one.load(pair[0].state())
        for expected in whole[2:]:
            assert [index for one in later for index in one.draw()["index"].tolist()] == expected


def steps(size: int, ranks_: int) -> Iterator[tuple[Step, Tensor]]:
    """The steps of all ranks of a world, and the default generator's draw in each."""
    for rank in range(ranks_):
        randomness = Randomness(3, CPU, rank if ranks_ > 1 else None)
        rng = randomness.at("generator", 7, 0)
        yield (
            Step(
                index=7,
                size=size // ranks_,
                steps=9,
                device=CPU,
                rng=rng,
                draw=lambda source, size: {},
                note_length=lambda: None,
                common=randomness.common,
                rank=rank,
                ranks=ranks_,
            ),
            torch.rand(3),
        )


def test_latents_are_those_of_one_process_and_noise_is_each_ones_own() -> None:
    def draw(number: int, rng: torch.Generator) -> Tensor:
        return torch.randn(number, 2, generator=rng)

    ((alone, noise),) = steps(12, 1)
    once, twice = alone.sample(draw, 12), alone.sample(draw, 24)
    assert alone.sample(lambda number, rng: None, 12) is None
    own = torch.rand(4, generator=alone.rng)
    assert alone.images == 84
    several = [*steps(12, 3)]
    assert torch.equal(torch.cat([step.sample(draw, 4) for step, _ in several]), once)
    # Two fakes for each real: the i-th of either half belongs to the i-th real, in every process.
    halves = [step.sample(draw, 8).chunk(2) for step, _ in several]
    assert torch.equal(torch.cat([torch.cat(half) for half in zip(*halves, strict=True)]), twice)
    assert all(step.sample(lambda number, rng: None, 4) is None for step, _ in several)
    owns = [torch.rand(4, generator=step.rng) for step, _ in several]
    assert len({tuple(drawn.tolist()) for drawn in [own, *owns]}) == 4
    assert len({tuple(drawn.tolist()) for drawn in [noise, *(drawn for _, drawn in several)]}) == 4
    assert {step.images for step, _ in several} == {84}


def test_what_is_logged_is_the_mean_over_the_ranks() -> None:
    logs = [Log("gan", CPU, lambda mine: [[("a", 0, 1.0), ("b", -1, 5.0)], [("a", 0, 3.0)]]) for _ in range(2)]
    assert [log.flush("nothing saved") for log in logs] == [{"a": 2.0, "b": 5.0}] * 2


def test_all_ranks_stop_at_the_first_number_that_is_none() -> None:
    first, second = [("a", 4, 1.0), ("b", 6, float("nan"))], [("c", 5, float("inf")), ("b", 6, 2.0)]
    for _ in range(2):
        with pytest.raises(NonFinite) as caught:
            Log("gan", CPU, lambda mine: [first, second]).check("no state was saved yet")
        assert str(caught.value) == (
            "gan: the term 'c' became inf in iteration 6; no state was saved yet. "
            "A smaller learning rate, clip_gradients or a regularizer may help"
        )


def test_one_process_gathers_what_it_has(of: Callable[..., World]) -> None:
    values = torch.ones(2, requires_grad=True)
    assert gather(values) is values
    here = of(1, 2)
    assert gather(values) is values  # pictures and metrics are one rank's alone
    assert not here.together


# -- refused -----------------------------------------------------------------------------------------------------------

SPEC = """\
name: gan
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: mlp, widths: [8], latent: 4}
    discriminator: {use: mlp, widths: [8]}
    steps: 20
    batch_size: 6
"""


def complaint(spec: Path, text: str) -> str:
    spec.write_text(text)
    with pytest.raises(Mistakes) as caught:
        check(spec)
    return str(caught.value).replace(str(spec), "spec.yaml")


def test_check_refuses_a_batch_that_does_not_divide(tmp_path: Path, of: Callable[..., World]) -> None:
    spec = tmp_path / "spec.yaml"
    of(0, 4)
    assert complaint(spec, SPEC) == (
        "spec.yaml:9:17: stages.gan.batch_size: 4 processes cannot share a batch of 6 evenly; 4 and 8 do"
    )
    of(0, 8)
    assert complaint(spec, SPEC) == (
        "spec.yaml:9:17: stages.gan.batch_size: 8 processes cannot share a batch of 6 evenly; 8 does"
    )
    of(0, 3)
    check(spec)


def test_check_refuses_a_share_that_a_part_cannot_train_on(tmp_path: Path, of: Callable[..., World]) -> None:
    text = """\
name: features
dataset: {use: digits}
stages:
  features:
    use: self-supervised
    encoder: {use: byol, projection: 8, hidden: 8}
    backbone: {use: timm, model: test_resnet, stem: original}
    steps: 2
    batch_size: 2
"""
    of(0, 2)
    assert complaint(tmp_path / "spec.yaml", text) == (
        "spec.yaml:6:20: stages.features.encoder: the projector's batch norm compares the images of a batch, and "
        "batch_size is 1; set it to 2 or more (for each of 2 processes)"
    )


class BatchNormAndMore(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


def test_a_layer_that_does_more_than_batch_norm_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        synchronise_batch_norm(nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(BatchNormAndMore(2))))
    assert str(caught.value) == (
        "sync_batch_norm cannot synchronise BatchNormAndMore (1.0), which does more than batch norm; "
        "leave sync_batch_norm out, or use a network with plain batch norm"
    )


def test_check_says_where_it_is_refused(tmp_path: Path) -> None:
    text = """\
name: features
dataset: {use: digits}
stages:
  features:
    use: self-supervised
    encoder: {use: simclr, projection: 8}
    backbone: {use: timm, model: test_efficientnet}
    steps: 2
    sync_batch_norm: true
    log_every: 5
"""
    said = complaint(tmp_path / "spec.yaml", text)
    assert said.startswith(
        "spec.yaml:9:22: stages.features.sync_batch_norm: sync_batch_norm cannot synchronise BatchNormAct2d ("
    )


def test_each_process_of_a_machine_has_a_device_of_its_own(
    of: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == torch.device("cuda", 0)
    of(1, 2)
    assert choose_device("cuda") == choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cpu") == CPU
    with pytest.raises(ResourceError) as caught:
        choose_device("cuda:0")
    assert str(caught.value) == "2 processes cannot share cuda:0; use --device cuda, one for each"
    of(2, 3)
    with pytest.raises(ResourceError) as caught:
        choose_device("cuda")
    assert str(caught.value) == "there is no cuda:2: this machine has 2 CUDA devices"


def test_a_node_that_sees_other_runs_is_told(
    of: Callable[..., World], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = of(1, 2)
    monkeypatch.setattr(here, "told", lambda: ("trained", tmp_path / "runs"))
    with pytest.raises(ResourceError) as caught:
        experiment._followed(None, None)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"there is no {tmp_path / 'runs'} on {socket.gethostname()}: all nodes must see the same runs folder, which "
        "--runs names"
    )


def test_torchrun_trains_no_whole_sweep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC + "sweep: {seed: [0, 1]}\n")
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["ganvas", "sweep", str(spec)])
    assert main._guarded() == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert (
        "torchrun trains one member in several processes (--only I); without it, --jobs N trains N members at once"
    ) in said


def test_synchronised_batch_norm_is_batch_norm_in_one_process() -> None:
    plain = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm1d(3))
    changed = copy.deepcopy(plain)
    synchronise_batch_norm(changed)
    changed = copy.deepcopy(changed)
    images = torch.randn(4, 2, 3, 3)
    assert torch.equal(plain[0](images), changed[0](images))
    assert list(changed.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in changed.state_dict().items())
    assert isinstance(changed[0], nn.BatchNorm2d)


# -- in several processes ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_two_ranks_exchange(tmp_path: Path) -> None:
    assert ranks.ended(ranks.start(ranks.exchange, 2, tmp_path)) == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for made in found:
        assert made["notes"] == [2.0, 1.0, 0.0]
        both, second, none, laid = made["gradients"]
        assert both.tolist() == [1.5, 3.0]
        assert second.tolist() == [2.0, 3.0]
        assert none is None
        assert torch.equal(laid, torch.arange(24.0).view(2, 3, 2, 2) / 2)
        assert made["dense"]
        assert made["nothing"] == [1.0]
        assert made["told"] == "first"
        assert made["everyone"] == [{"rank": 0}, {"rank": 1}]
        assert torch.equal(made["aligned"], torch.zeros(3, 2))
        whole = torch.arange(8.0).view(4, 2) / 10
        assert torch.equal(made["apart"], whole[:1])
        assert torch.equal(made["gathered"], whole)

        # One process with the whole batch is the reference.
        weight, x = nn.Parameter(torch.tensor([0.5, -0.3])), whole.clone().requires_grad_()
        z = x * weight
        score = (z @ z.T).tanh().mean()
        (slope,) = torch.autograd.grad(score, x, create_graph=True)
        (first,) = torch.autograd.grad(score, weight, retain_graph=True)
        (second,) = torch.autograd.grad(slope.square().sum(), weight)
        torch.testing.assert_close(made["first"], first)
        torch.testing.assert_close(made["second"], second)

        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2), nn.BatchNorm1d(2))
        images = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(1))
        scores = network(images)
        (scores.tanh() * torch.tensor([1.0, 2.0])).square().mean().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(made["norm"][name], parameter.grad, rtol=1e-4, atol=1e-6)
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(made["statistics"][name], buffer)
    torch.testing.assert_close(torch.cat([made["scores"] for made in found]), scores.detach())


# Every part that looks at the whole batch: negatives, means inside a function, queues, batch norm.
TOGETHER = """
name: together
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4, norm: none}
    discriminator: {use: global, channels: 4, head: {use: contrastive, embedding: 8}}
    condition: labels
    generator_fakes: 2
    loss: {use: relativistic, kind: average}
    augmentation: {use: dark, ramp: 200, every: 2}
    discriminator_steps: 2
    regularizers:
      - {use: r1, every: 3, own_step: true}
      - {use: lecam, start: 0, weight: 1.0}
      - {use: mode-seeking, weight: 0.1}
    optimizers: {use: sgd, lr: 0.03}
    clip_gradients: 1.0
    ema: 100
    steps: 20
    batch_size: 16
    log_every: 5
    checkpoint: {every: 1h}
  matching:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4, norm: none}
    discriminator: {use: global, channels: 4}
    loss: feature-matching
    condition: labels
    fakes: balanced
    batches: separate
    steps: 20
    batch_size: 16
    evaluate: {every: 10, metrics: [{use: diversity, samples: 20}]}
"""

ENCODER = """\
  {name}:
    use: self-supervised
    portrait: 0
    encoder: {encoder}
    backbone: {{use: timm, model: test_resnet, stem: original}}
    augmentation: {views}
    optimizers: {{use: sgd, lr: {lr}, momentum: 0.5}}
    sync_batch_norm: true
    log_every: 5
    steps: 20
    batch_size: 16
"""

PAIR = "[{use: rolled, by: 0}, {use: rolled, by: 1}]"
ENCODERS = {
    "contrast": ("{use: simclr, projection: 8}", PAIR, 0.0003),
    "queue": ("{use: moco, projection: 8, queue: 40, momentum: 0.9}", PAIR, 0.001),
    "twins": ("{use: barlow-twins, projection: 8, hidden: 8}", PAIR, 0.0001),
    "variances": ("{use: vicreg, projection: 8, hidden: 8}", PAIR, 0.0001),
    "patches": ("{use: cpc}", "{use: rolled, by: 0}", 0.01),
}
TOGETHER += "".join(
    ENCODER.format(name=name, encoder=encoder, views=views, lr=lr) for name, (encoder, views, lr) in ENCODERS.items()
)
TOGETHER += """\
  guided:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4, norm: none}
    discriminator: {use: global, channels: 4}
    condition: {use: clusters, encoder: contrast, clusters: 4, restarts: 1}
    steps: 20
    batch_size: 16
"""

PARTS = """
import os
import signal
from pathlib import Path

from ganvas import Augmentation, Loss
from ganvas.engine.parallel import world
from ganvas_plugins.augmentations.adaptive import Adaptive


class Rolled(Augmentation):
    def __init__(self, *, by: int = 0):
        super().__init__()
        self.by = by

    def forward(self, images, side, rng):
        return images.roll(self.by, -1)


class Dark(Adaptive):
    def forward(self, images, side, rng):
        return images * (1 - self.probability / 10)


class Broken(Loss):
    def discriminator(self, real, fake):
        wrong = float("nan") if real.step.index == 2 and world().rank == 1 else 1.0
        return wrong * (fake.scores.mean() - real.scores.mean())

    def generator(self, fake, real):
        return -fake.scores.mean()


class Mortal(Broken):
    def discriminator(self, real, fake):
        died = Path(__file__).with_name("died")
        if real.step.index == 7 and world().rank == 1 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return fake.scores.mean() - real.scores.mean()
"""

REGISTRY = """
components:
  augmentation: {rolled: ./parts.py:Rolled, dark: ./parts.py:Dark}
  loss: {broken: ./parts.py:Broken, mortal: ./parts.py:Mortal}
"""


def written(folder: Path, text: str) -> Path:
    spec = folder / "spec.yaml"
    spec.write_text(text)
    (folder / "parts.py").write_text(PARTS)
    (folder / "registry.yaml").write_text(REGISTRY)
    return spec


def train(spec: Path, runs: Path, size: int, moments: Any = None) -> tuple[list[int | None], str]:
    """Trains in so many processes; their exit statuses, and what they said on standard error together."""
    said = runs.with_suffix(".txt")
    said.unlink(missing_ok=True)
    children = ranks.start(ranks.command, size, spec, runs, said, each=moments or [None] * size)
    return ranks.ended(children), said.read_text()


def left(runs: Path) -> dict[str, dict[str, Any]]:
    """The last state of each stage, and the lines that were logged."""
    found = {}
    for record in sorted(runs.glob("*/*/*/stage.json")):
        folder = record.parent
        last = sorted((folder / "checkpoints").glob("[0-9]*.safetensors"))[-1]
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found[folder.parent.name] = {"state": states.load(last), "lines": lines}
    return found


@pytest.mark.slow
def test_two_ranks_train_as_one_process(tmp_path: Path) -> None:
    spec = written(tmp_path, TOGETHER)
    for runs, size in ((tmp_path / "one", 1), (tmp_path / "two", 2)):
        statuses, said = train(spec, runs, size)
        assert statuses == [0] * size, said
    # What is there is not trained again, by however many.
    statuses, said = train(spec, tmp_path / "two", 2)
    assert statuses == [0, 0]
    assert said.count(": trained already, in ") == 8
    one, two = left(tmp_path / "one"), left(tmp_path / "two")
    assert list(one) == list(two) == ["contrast", "gan", "guided", "matching", "patches", "queue", "twins", "variances"]
    for stage, alone in one.items():
        together = two[stage]
        assert together["state"]["world"] == 2
        assert together["state"]["others"] == [{}]  # nothing of it is one rank's own
        for name, value in alone["state"]["algorithm"].items():
            torch.testing.assert_close(
                together["state"]["algorithm"][name],
                value,
                rtol=1e-4,
                atol=1e-5,
                msg=lambda said, stage=stage: f"{stage}: {said}",
            )
        for line, other in zip(alone["lines"], together["lines"], strict=True):
            names = [name for name in line if name.startswith(("loss/", "penalty/", "scores/r"))]
            assert names or all(name in ("iteration", "images") or name.startswith("metric/") for name in line)
            for name in names:
                assert other[name] == pytest.approx(line[name], rel=1e-4, abs=1e-6), f"{stage}: {name}"


CYCLE = """
name: cycle
dataset: {use: unpaired, a: {use: digits, part: train, holdout: 0.5}, b: {use: digits, part: holdout, holdout: 0.5}}
stages:
  cycle:
    use: cyclegan
    translator: {use: resnet, channels: 4, blocks: 1}
    discriminator: {use: patch, channels: 4, layers: 1, norm: instance}
    pool: 6
    steps: 12
    batch_size: 4
    ema: 50
    health: {every: 3, samples: 4}
    log_every: 3
    checkpoint: {every: 4}
"""


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A spec and what two ranks that never stopped left of it. Each has pools of its own."""
    folder = tmp_path_factory.mktemp("cycle")
    spec = written(folder, CYCLE)
    statuses, said = train(spec, folder / "whole", 2)
    assert statuses == [0, 0], said
    whole = left(folder / "whole")
    assert {"pool_a.images", "pool_b.images"} <= set(whole["cycle"]["state"]["others"][0])
    return spec, whole


def timeless(found: dict[str, Any]) -> dict[str, Any]:
    for made in found.values():
        for line in made["lines"]:
            for name in [name for name in line if name.startswith("time/")]:
                del line[name]
    return found


@pytest.mark.slow
def test_a_killed_rank_ends_it_and_the_same_command_goes_on(cycle: tuple[Path, Any], tmp_path: Path) -> None:
    spec, whole = cycle
    statuses, said = train(spec, tmp_path / "runs", 2, [None, {"draw": 6}])
    assert statuses == [75, -signal.SIGKILL]
    (saved,) = tmp_path.glob("runs/*/*/*/checkpoints/*.safetensors")
    assert saved.name == "000000004.safetensors"
    expected = (
        rf"cycle: rank 1 \(process \d+ on \S+\) of 2 ended; the last good state is {saved}; "
        "the same command goes on from there"
    )
    assert re.fullmatch(expected, said.splitlines()[-1])
    shutil.copytree(tmp_path / "runs", tmp_path / "alone")
    statuses, said = train(spec, tmp_path / "runs", 2)
    assert statuses == [0, 0]
    assert "cycle: going on at iteration 4 of 12" in said
    assert_same(timeless(left(tmp_path / "runs")), timeless(whole))

    # One process takes over what two began.
    statuses, said = train(spec, tmp_path / "alone", 1)
    assert statuses == [0]
    saved = tmp_path / "alone" / saved.relative_to(tmp_path / "runs")
    assert (
        f"warning: cycle: 2 processes wrote {saved}, and 1 process now: the order of the data stays, the bits do not; "
        "buffers that each had of its own are the first one's\n"
    ) in said
    state = left(tmp_path / "alone")["cycle"]["state"]
    assert (state["index"], state["world"], state["others"]) == (12, 1, [])
    assert state["batches"] == whole["cycle"]["state"]["batches"]


@pytest.mark.slow
def test_a_killed_first_rank_ends_it_too(cycle: tuple[Path, Any], tmp_path: Path) -> None:
    spec, whole = cycle
    statuses, said = train(spec, tmp_path / "runs", 2, [{"draw": 10}, None])
    assert statuses == [-signal.SIGKILL, 75]
    assert re.fullmatch(
        r"cycle: (the process that the others meet at is gone|rank 0 \(process \d+ on \S+\) of 2 ended); "
        r"the last good state is \S+/000000008.safetensors; the same command goes on from there",
        said.splitlines()[-1],
    )
    assert train(spec, tmp_path / "runs", 2)[0] == [0, 0]
    assert_same(timeless(left(tmp_path / "runs")), timeless(whole))


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(cycle: tuple[Path, Any], tmp_path: Path) -> None:
    spec, whole = cycle
    moment = {"draw": 6, "signal": signal.SIGTERM}
    statuses, said = train(spec, tmp_path / "runs", 2, [None, moment])
    assert statuses == [75, 75]
    (saved,) = tmp_path.glob("runs/*/*/*/checkpoints/000000006.safetensors")
    line = f"stopped by SIGTERM at iteration 6 of 12; the state is in {saved}; the same command goes on from there"
    assert said.splitlines().count(line) == 1
    assert train(spec, tmp_path / "runs", 2)[0] == [0, 0]
    assert_same(timeless(left(tmp_path / "runs")), timeless(whole))


@pytest.mark.slow
def test_a_number_that_is_none_on_one_rank_stops_all(tmp_path: Path) -> None:
    spec = written(tmp_path, SPEC.replace("    steps: 20", "    loss: broken\n    log_every: 4\n    steps: 20"))
    statuses, said = train(spec, tmp_path / "runs", 2)
    assert statuses == [3, 3]
    line = (
        "gan: the term 'loss/discriminator.adversarial' became nan in iteration 3; no state was saved yet. "
        "A smaller learning rate, clip_gradients or a regularizer may help"
    )
    assert said.splitlines().count(line) == 1
    # What all of them find wrong with a spec is said once, too.
    statuses, said = train(written(tmp_path, SPEC.replace("6\n", "5\n")), tmp_path / "runs", 2)
    assert statuses == [2, 2]
    assert said == f"{spec}:9:17: stages.gan.batch_size: 2 processes cannot share a batch of 5 evenly; 4 and 6 do\n"


def two_nodes(spec: Path, runs: Path) -> list[tuple[int, str]]:
    """Two agents of torchrun on this machine, as if each were a node's; their exit statuses and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = ["-m", "ganvas", "train", str(spec), "--runs", str(runs), "--device", "cpu"]
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *place, f"--node-rank={rank}", *command],
            env=os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [agent.communicate(timeout=240)[1] for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    return [(agent.returncode, text) for agent, text in zip(agents, said, strict=True)]


@pytest.mark.slow
def test_two_nodes_lose_a_rank_and_go_on(tmp_path: Path) -> None:
    text = SPEC.replace("    steps: 20", "    loss: mortal\n    checkpoint: {every: 5}\n    steps: 20")
    spec = written(tmp_path, text)
    ended = two_nodes(spec, tmp_path / "runs")
    assert all(status != 0 for status, _ in ended)
    assert re.search(
        r"^gan: rank 1 \(process \d+ on \S+\) of 2 ended; the last good state is \S+/000000005.safetensors; "
        "the same command goes on from there$",
        ended[0][1],
        re.MULTILINE,
    )
    ended = two_nodes(spec, tmp_path / "runs")
    assert [status for status, _ in ended] == [0, 0], ended
    assert "gan: going on at iteration 5 of 20" in ended[0][1]
    assert "gan" not in ended[1][1]  # rank 0 alone speaks
    statuses, said = train(spec, tmp_path / "whole", 2)
    assert statuses == [0, 0], said
    assert_same(timeless(left(tmp_path / "runs")), timeless(left(tmp_path / "whole")))
