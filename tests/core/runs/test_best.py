"""The weights that are best by a metric: which they are, that they are kept, and what their numbers say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

import ganvas
from ganvas import Data, Measurement, Metric, Stage
from ganvas.engine.errors import ResourceError
from ganvas.runs.finding import evaluate_run

SPEC = """
name: best
dataset: digits
stages:
  gan:
    use: gan
    generator: {use: mlp, widths: [8], latent: 4}
    discriminator: {use: mlp, widths: [8]}
    steps: 6
    batch_size: 8
    ema: 20
    checkpoint: {every: 1}
    evaluate: {every: 1, metrics: [{use: planned, values: VALUES}], best: planned}
"""


class Planned(Metric):
    """Gives the planned numbers one after another, and breaks where one is zero; notes what the stage draws then.

    Source: none.
    """

    seen: ClassVar[list[float]] = []

    def __init__(self, data: Data, *, values: list[float], better: str = "lower") -> None:
        super().__init__(data)
        self.values, self.better = values, better

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {}

    def measure(self, stage: Stage) -> dict[str, Measurement]:
        number = len(Planned.seen)
        Planned.seen.append(float(stage.sample(1, seed=0).sum()))
        if self.values[number] == 0:
            raise KeyError("broken")
        return {"planned@plan": Measurement(self.values[number], better=self.better)}  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def planned() -> Iterator[None]:
    module = ModuleType("planned")
    module.ganvas_components = ganvas.hookimpl(lambda: {"metric": {"planned": Planned}})  # type: ignore[attr-defined]
    ganvas.plugins.register(module, "planned")
    Planned.seen = []
    yield
    ganvas.plugins.unregister("planned")


def train(root: Path, values: list[float], **evaluate: Any) -> tuple[ganvas.Run, dict[str, Any]]:
    (root / "spec.yaml").write_text(SPEC.replace("VALUES", json.dumps(values)))
    overrides = {f"stages.gan.evaluate.{name}": value for name, value in evaluate.items()}
    run = ganvas.train(root / "spec.yaml", overrides, runs=root / "runs")
    return run, json.loads((run.folders["gan"] / "stage.json").read_text())


@pytest.mark.parametrize(
    ("better", "values", "iteration"),
    [
        ("lower", [5, 3, 4, 2, 7, 6], 4),
        ("higher", [5, 3, 4, 2, 7, 6], 5),
        ("lower", [5, 4, 3, 3, 3, 3], 3),  # the first of equal ones
        ("lower", [5, 4, 3, 2, 1.5, 1], 6),  # the last ones are the best
        ("lower", [5, 6, 4, 0, 6, 7], 3),  # one that failed is passed over
    ],
)
def test_the_best_are_kept_and_the_last(tmp_path: Path, better: str, values: list[float], iteration: int) -> None:
    run, record = train(tmp_path, values, metrics=[{"use": "planned", "values": values, "better": better}])
    assert record["best"]["iteration"] == iteration
    assert record["best"]["value"] == values[iteration - 1]
    best = ganvas.load(run.folders["gan"], best=True)["gan"]
    # What was measured then is what the kept weights draw, to the last bit.
    assert float(best.sample(1, seed=0).sum()) == Planned.seen[iteration - 1]
    assert float(run["gan"].sample(1, seed=0).sum()) == Planned.seen[5]
    found = run.metrics("gan")
    assert found["planned@plan"]["protocol"]["state"] == "last"
    assert found["planned@plan+best"]["value"] == values[iteration - 1]
    assert found["planned@plan+best"]["protocol"]["state"] == "best by planned@plan"


def test_best_weights_are_measured_and_their_numbers_stand_apart(tmp_path: Path) -> None:
    run, _ = train(tmp_path, [5, 3, 4, 2, 7, 6])
    folder = str(run.folders["gan"])
    asked = ["{use: diversity, samples: 20}"]
    _, found = evaluate_run(folder, None, asked, (), tmp_path, "cpu", print, best=True)
    assert list(found) == ["diversity+best"]
    assert found["diversity+best"]["protocol"]["state"] == "best by planned@plan"
    _, last = evaluate_run(folder, None, asked, (), tmp_path, "cpu", print)
    assert last["diversity"]["value"] != found["diversity+best"]["value"]
    assert set(run.metrics("gan")) == {"planned@plan", "planned@plan+best", "diversity", "diversity+best"}


def test_a_kill_changes_nothing_about_the_best(tmp_path: Path) -> None:
    values = [5, 3, 4, 2, 7, 6]
    (tmp_path / "whole").mkdir()
    whole, record = train(tmp_path / "whole", values)
    # As after a kill in the last iteration: the state of the fifth, the best of the fourth, no model.
    folder = whole.folders["gan"]
    (folder / "model.safetensors").unlink()
    shutil.copytree(tmp_path / "whole" / "runs", tmp_path / "runs")
    newest = max((tmp_path / "runs").glob("best/gan/*/checkpoints/*6.safetensors"))
    newest.unlink()
    Planned.seen = Planned.seen[:5]
    again, resumed = train(tmp_path, values)
    assert resumed["best"] == record["best"]
    assert len(Planned.seen) == 6
    assert (again.folders["gan"] / "best.safetensors").read_bytes() == (folder / "best.safetensors").read_bytes()


def test_a_finished_stage_that_kept_none_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run, _ = train(tmp_path, [5, 3, 4, 2, 7, 6], best=None)
    folder = run.folders["gan"]
    with pytest.raises(ResourceError) as caught:
        ganvas.load(folder, best=True)["gan"]
    assert str(caught.value) == (
        f"{folder} holds no best weights: a stage keeps them as it trains with evaluate: {{every: N, best: METRIC}}"
    )
    train(tmp_path, [5, 3, 4, 2, 7, 6])
    assert caplog.messages == [
        "gan: the weights that were best by planned were not kept when it was trained; `--fresh gan` trains anew"
    ]


def test_a_metric_that_fails_is_warned_of_and_measured_when_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, record = train(tmp_path, [0, 0, 0, 0, 0, 0, 8], best=None)
    line = "gan: the metric 'planned' was not measured: KeyError: 'broken'"
    assert caplog.messages == [line] * 6
    assert run.metrics("gan") == {}
    assert record["measured"] == []
    again, record = train(tmp_path, [0, 0, 0, 0, 0, 0, 8], best=None)
    assert again.metrics("gan")["planned@plan"]["value"] == 8
    assert len(record["measured"]) == 1


def test_several_numbers_must_be_told_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = [{"use": "precision-recall", "extractor": "random", "samples": 30, "real": 30}]
    _, record = train(tmp_path, [], metrics=metrics, best="precision-recall", every=3)
    assert "best" not in record
    said = (
        "gan: best: precision-recall may mean precision-recall@random.precision or precision-recall@random.recall: "
        "write one of them; no best weights are kept"
    )
    assert caplog.messages == [said, said]
    (tmp_path / "named").mkdir()
    _, record = train(tmp_path / "named", [], metrics=metrics, best="precision-recall.recall", every=3)
    assert record["best"]["metric"] == "precision-recall@random.recall"
