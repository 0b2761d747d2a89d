"""Health: what is measured against hand-computed numbers, and that training does not notice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ganvas
from ganvas import Algorithm, Critique, Data, DataField, Dataset, Discriminator, Duel, Generator, Latents, Match, Update
from ganvas.engine import states
from ganvas.engine.findings import DIVERSITY, DRIFT, GAP, HELD_OUT, IMBALANCE, OVERFITTING, SEPARATION, SIGNAL
from ganvas.engine.health import Health, default_every
from ganvas.engine.training import train
from ganvas.kinds.objectives import Loss
from ganvas.runs.checking import check_experiment
from ganvas.spec.experiment import load_experiment
from ganvas_plugins.losses.hinge import Hinge
from ganvas_plugins.losses.non_saturating import NonSaturating
from ganvas_plugins.losses.wasserstein import Wasserstein

CPU = torch.device("cpu")


def test_cadence() -> None:
    assert [default_every(steps) for steps in (1, 10_000, 10_001, 100_000)] == [200, 200, 201, 2000]


# -- in numbers --------------------------------------------------------------------------------------------------------


class Levels(Dataset):
    """Sample i is one pixel of the i-th value, with a label."""

    def __init__(self, values: list[float], labels: list[int], held_out: list[float] | None = None) -> None:
        self.values, self.labels, self.rest = values, labels, held_out

    fields = {"images": DataField((1, 1, 1), "float32", (-1, 1)), "labels": DataField((), "int64", (0, 9))}  # type: ignore[assignment]
    fingerprint = "levels"  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.values)

    def tensors(self) -> dict[str, Tensor]:
        return {"images": torch.tensor(self.values).view(-1, 1, 1, 1), "labels": torch.tensor(self.labels)}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.tensors().items()}

    def held_out(self) -> Dataset | None:
        return None if self.rest is None else Levels(self.rest, [0] * len(self.rest))


class Constant(Generator):
    latents, sample_shape = Latents({"z": 1}), (1, 1, 1)

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.value.expand(len(latents), 1, 1, 1)


class TenTimes(Discriminator):
    """Two patches whose mean score is ten times the pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([10.0, 10.0]))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(self.factors * samples.flatten(1))


class Duelling(Algorithm):
    """One duel; what it samples is a test's to say."""

    def __init__(self, data: Data, loss: Loss, fakes: list[float]) -> None:
        super().__init__(data)
        self.duel = Duel(TenTimes(), loss, None, [], Constant(-0.2))
        self.fakes = fakes

    def networks(self) -> dict[str, nn.Module]:
        return self.duel.networks()

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return [*self.duel.updates(self.match)]

    def match(self, side: Any, step: Any) -> Match:
        real = step.batch["images"]
        latents = torch.zeros(len(real), 1)
        return Match(side, step, self.duel, real=real, fake=lambda: self.duel.generator(latents))

    def matches(self, step: Any) -> dict[str, Match]:
        return {"": self.match("discriminator", step)}

    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        return torch.tensor(self.fakes).view(-1, 1, 1, 1)


REAL, LABELS = [0.5, 0.3, 0.1, -0.1], [3, 3, 7, 7]


def health(loss: Loss | None = None, held_out: list[float] | None = None, labels: list[int] | None = None) -> Health:
    data = Data(Levels(REAL, LABELS if labels is None else labels, held_out))
    algorithm = Duelling(data, loss or Hinge(), [0.5, 0.5, 0.5, 0.1])
    return Health(algorithm, data, every=2, samples=4, batch_size=4, steps=10, seed=0, device=CPU)


def test_scores_of_a_duel() -> None:
    # Scores 5, 3, 1, -1 of the reals, 1, -1, -1, -3 of the held-out ones, -2 of every fake.
    seen = health(held_out=[0.1, -0.1, -0.1, -0.3]).look(2, {})
    expected = {GAP: 4.0, HELD_OUT: 1.0, OVERFITTING: 0.75, SEPARATION: 1.0, SIGNAL: 1 / 8}
    assert {tag: seen[tag] for tag in expected} == pytest.approx(expected)
    assert {HELD_OUT, OVERFITTING}.isdisjoint(health().look(2, {}))


@pytest.mark.parametrize(
    ("loss", "signal"),
    [
        # All scores are 0 on average, where hinge is steep for all 8 samples; only the real at -1 is inside the margin.
        (Hinge(), 1 / 8),
        # sigma(-s) of the reals, sigma(s) of the fakes, over ½ each.
        (
            NonSaturating(),
            float(torch.tensor([-5.0, -3, -1, 1]).sigmoid().mean() + torch.tensor(-2.0).sigmoid()),
        ),
        (Wasserstein(), 1.0),
    ],
    ids=["hinge", "non-saturating", "wasserstein"],
)
def test_the_signal_of_a_loss(loss: Loss, signal: float) -> None:
    assert health(loss).look(2, {})[SIGNAL] == pytest.approx(signal)


def test_a_margin_that_all_samples_keep_is_no_dead_term() -> None:
    still = {"loss/discriminator.adversarial": 0.0, "loss/generator.match": 0.0, "penalty/r1": 0.0}
    for real, dead in ((0.1, list(still)[1:]), (0.05, list(still))):  # scores of 1 and of ½: only these are within it
        made = health()
        made.algorithm.data = made.data = Data(Levels([real] * 4, LABELS))
        for done in (2, 4, 6, 8):
            made.look(done, still)
        assert list(made.history[-1].still) == dead


def test_ties_count_half() -> None:
    made = health()
    with torch.no_grad():
        made.algorithm.duel.generator.value.fill_(0.1)  # type: ignore[union-attr]
    assert made.look(2, {})[SEPARATION] == (2 + 0.5) / 4


def test_diversity_and_drift() -> None:
    # Distances of the reals: 0.2, 0.4, 0.6, 0.2, 0.4, 0.2; of the fakes three times 0.4.
    made = health()
    seen = made.look(2, {})
    assert (seen[DIVERSITY], seen[IMBALANCE]) == pytest.approx((1.2 / 2.0, 0.25))
    assert DRIFT not in seen
    assert made.look(3, {}) == {}  # not due
    made.algorithm.fakes = [-0.1, -0.1, 0.15, 0.15]  # type: ignore[assignment]
    seen = made.look(4, {})
    assert (seen[DIVERSITY], seen[DRIFT], seen[IMBALANCE]) == pytest.approx((0.5, 0.75, 0.5))


def test_samples_without_classes_are_sorted_by_neighbours() -> None:
    # As many classes as samples: they tell nothing. Of four samples each is a class of its own then.
    data = Data(Levels([float(i) / 50 for i in range(-25, 25)], list(range(50))))
    algorithm = Duelling(data, Hinge(), [-0.5] * 50)
    made = Health(algorithm, data, every=1, samples=50, batch_size=50, steps=10, seed=0, device=CPU)
    made.look(1, {})
    assert len(made.history[0].histogram) == 10
    assert made.history[0].histogram == [1.0] + [0.0] * 9


def test_looking_leaves_everything_as_it_was() -> None:
    made = health(held_out=[0.1, -0.1])
    made.algorithm.train()
    for parameter in made.algorithm.parameters():
        parameter.requires_grad_(True)
    before = {name: value.clone() for name, value in made.algorithm.state_dict().items()}
    made.look(2, {})
    assert all(module.training for module in made.algorithm.modules())
    assert all(parameter.grad is None for parameter in made.algorithm.parameters())
    assert all(torch.equal(value, before[name]) for name, value in made.algorithm.state_dict().items())


def test_update_ratios_are_of_the_last_iteration_that_moves_a_network(make_job: Any) -> None:
    parts = {name: nn.ParameterDict({"value": nn.Parameter(torch.tensor(10.0))}) for name in ("a", "b")}
    logged: dict[int, dict[str, float]] = {}

    def updates(algorithm: Any) -> list[Update]:
        return [
            Update("first", ["a"], lambda step: {"loss": parts["a"]["value"]}),
            Update("second", ["b"], lambda step: {"loss": parts["b"]["value"]}, every=2),
        ]

    job = make_job(parts, updates, steps=6, log_every=3, scalars=lambda index, images, v: logged.update({index: v}))
    job.health = Health(
        job.algorithm, job.data, every=3, samples=4, batch_size=4, steps=6, seed=0, device=CPU, extractor=None
    )
    train(job)
    ratios = {index: [values[f"grad/update-ratio.{name}"] for name in ("a", "b")] for index, values in logged.items()}
    # Each moves by 1: a in every iteration, b in the first, third and fifth.
    assert ratios == {3: pytest.approx([1 / 7, 1 / 8]), 6: pytest.approx([1 / 4, 1 / 7])}


def test_terms_that_do_not_change_are_told_once(make_job: Any) -> None:
    value = nn.Parameter(torch.tensor(1.0))
    parts = {"a": nn.ParameterDict({"value": value})}

    def terms(step: Any) -> dict[str, Tensor]:
        found = {"alive": value, "none": 0 * value, "penalty/flat": 0 * value + 2.5}
        if step.index % 4 == 0:
            found["lazy"] = 2 * value
        if step.index == 0:
            found["once"] = 3 * value
        return found

    told: list[str] = []
    job = make_job(parts, lambda algorithm: [Update("first", ["a"], terms)], steps=9, log_every=1, warn=told.append)
    job.health = Health(job.algorithm, job.data, every=1, samples=4, batch_size=4, steps=9, seed=0, device=CPU)
    train(job)
    assert told == [
        "stage, after 16 images: the term loss/first.none is 0 since 4 images: dead, or without weight?",
        "stage, after 16 images: the term penalty/flat stands at 2.5 since 4 images: dead, or without weight?",
    ]
    assert job.progress.finding == "the term loss/first.none is 0 since 4 images: dead, or without weight?"


def test_the_memory_is_short_but_for_the_best() -> None:
    made = health()
    for done in range(2, 60, 2):
        made.look(done, {})
        made.algorithm.fakes = [0.01, 0.0, 0.0, 0.0]  # type: ignore[assignment]
    assert [point.images for point in made.history] == [8, *range(160, 240, 8)]
    assert made.line == "diversity fell by 97% since 8 images: collapse?"
    assert made.news() == [made.line]
    assert made.news() == []
    other = health()
    other.load(json.loads(json.dumps(made.state())))
    assert (other.history, other.line, other.news()) == (made.history, made.line, [])


# -- in a training -----------------------------------------------------------------------------------------------------

SMALL = """
name: small
dataset: {use: digits, holdout: 0.2}
trackers: []
stages:
  gan:
    use: gan
    generator: {use: mlp, latent: 16, widths: [64, 128], norm: batch}
    discriminator: {use: mlp, widths: [128, 64], dropout: 0.3}
    loss: hinge
    augmentation: diffaugment
    steps: 8
    batch_size: 16
    log_every: 2
    ema: 100
"""


def ran(folder: Path, text: str, overrides: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The last state, and what was logged."""
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(text)
    ganvas.train(folder / "small.yaml", overrides=overrides, runs=folder / "runs", device="cpu")
    (record,) = folder.glob("runs/small/gan/*/stage.json")
    stage = record.parent
    state = states.load(max((stage / "checkpoints").glob("[0-9]*.safetensors")))
    return state, [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]


def test_training_does_not_notice(tmp_path: Path) -> None:
    seen, lines = ran(tmp_path / "seen", SMALL, {"stages.gan.health": {"every": 1, "samples": 20}})
    unseen, others = ran(tmp_path / "unseen", SMALL, {"stages.gan.health": None})
    keys = [
        [path.parent.name for path in tmp_path.glob(f"{name}/runs/*/*/*/stage.json")] for name in ("seen", "unseen")
    ]
    assert keys[0] == keys[1]
    for part in ("algorithm", "average", "optimizers", "batches"):
        assert repr_of(seen[part]) == repr_of(unseen[part]), part
    new = {tag for line in lines for tag in line} - {tag for line in others for tag in line}
    assert new == {
        *(GAP, HELD_OUT, OVERFITTING, SEPARATION, SIGNAL, DIVERSITY, DRIFT, IMBALANCE),
        *("grad/update-ratio.generator", "grad/update-ratio.discriminator"),
    }
    assert sum(GAP in line for line in lines) == 4  # at log points only, though it was asked for after every iteration
    same = [{tag: v for tag, v in line.items() if tag not in new and not tag.startswith("time/")} for line in lines]
    assert same == [{tag: value for tag, value in line.items() if not tag.startswith("time/")} for line in others]
    assert (len(seen["health"]["history"]), unseen["health"]) == (4, None)


def repr_of(value: Any) -> Any:
    """Tensors as lists, so that two trees compare."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {name: repr_of(inner) for name, inner in value.items()}
    return [repr_of(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_points_of_a_plane_are_their_own_features(tmp_path: Path) -> None:
    text = SMALL.replace("{use: digits, holdout: 0.2}", "{use: gaussian-mixture, samples: 200}")
    changes = {"stages.gan.health": {"every": 4}, "stages.gan.augmentation": "none"}
    _, lines = ran(tmp_path, text, changes)
    first = next(line for line in lines if DIVERSITY in line)
    assert {tag for tag in first if "health." in tag} == {SEPARATION, SIGNAL, DIVERSITY, IMBALANCE}


def test_a_short_stage_is_not_looked_at(tmp_path: Path) -> None:
    state, lines = ran(tmp_path, SMALL, {})
    assert state["health"] is None
    assert not any(tag.startswith(("scores/health", "grad/update-ratio")) for line in lines for tag in line)


def test_weights_that_are_missing_are_found_before_anything_trains(tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(SMALL)
    setting = "stages.gan.health={extractor: {use: inception, weights: ./nowhere.pt}}"
    report = check_experiment(load_experiment(spec, [setting]))
    assert [line.partition(": ")[0] for line in report.missing] == ["stages.gan.health.extractor"]
    assert check_experiment(load_experiment(spec, ["stages.gan.health="])).missing == []


CONTROL = """
name: small
seed: SEED
dataset: {use: digits, holdout: 0.2}
trackers: []
stages:
  gan:
    use: gan
    generator: {use: mlp, latent: 16, widths: [64, 128]}
    discriminator: {use: mlp, widths: [128, 64]}
    loss: LOSS
    regularizers: [{use: r1, weight: 0.1}]
    optimizers:
      generator: {use: adam, lr: 1e-3, betas: [0.5, 0.999]}
      discriminator: {use: adam, lr: RATE, betas: [0.5, 0.999]}
    steps: 400
    batch_size: 32
    log_every: 25
    pictures_every: 400
    health: {every: 25}
"""


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["non-saturating", "hinge"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_collapsing_training_is_flagged_and_a_healthy_one_is_not(
    loss: str, seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def control(name: str, rate: str) -> tuple[list[str], float]:
        text = CONTROL.replace("SEED", str(seed)).replace("LOSS", loss).replace("RATE", rate)
        caplog.clear()
        _, lines = ran(tmp_path / name, text, {})
        return [record.getMessage() for record in caplog.records], lines[-1][DIVERSITY]

    told, diversity = control("healthy", "1e-3")
    assert told == []
    assert diversity > 0.6
    # A generator that trains against a discriminator that stands still finds the one image that it likes best.
    told, diversity = control("collapsing", "0")
    assert [line.partition(": ")[2] for line in told if "fooled" in line] == [
        "discriminator fooled: it scores every fake above every real image"
    ]
    assert len([line for line in told if line.endswith(": collapse?")]) == 1
    assert diversity < 0.15
