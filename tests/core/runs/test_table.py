"""Which runs are a row, which options are shown, what the numbers are, and what is not put side by side."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ganvas.registry.documents import Mistakes
from ganvas.runs.folders import MODEL, StageFolder
from ganvas.runs.table import Table, gather, tabulate

PROTOCOL = {"samples": 100, "extractor": "judge", "judge": {"steps": 10}, "ganvas": "0.1.0"}


def stage(
    runs: Path,
    name: str,
    parts: dict[str, str],
    uses: dict[str, StageFolder] | None = None,
    *,
    metrics: dict[str, float | dict[str, Any]] | None = None,
    written: tuple[str, ...] = (),
    experiment: str = "small",
    finished: bool = True,
    **protocol: Any,
) -> StageFolder:
    """A stage's folder as a training leaves it, as far as tables look."""
    ancestors: dict[str, Any] = {}
    for used, folder in (uses or {}).items():
        ancestors |= folder.record["ancestors"] | {used: {k: folder.record[k] for k in ("key", "parts")}}
        parts = {**parts, used: f"{folder.record['key']}.{used}"}
    key = hashlib.md5(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    path = runs / experiment / name / key
    path.mkdir(parents=True)
    folder = StageFolder(path)
    seed = int(parts.get("seed", "0"))
    better = {"fid": "lower"}
    found = {
        metric: value
        if isinstance(value, dict)
        else {
            "value": value,
            "deviation": None,
            "better": better.get(metric.partition("@")[0], "higher"),
            "protocol": PROTOCOL | protocol | {"seed": seed},
        }
        for metric, value in (metrics or {}).items()
    }
    of_stages = {path for one in (uses or {}).values() for path in one.record["written"]}
    paths = sorted(of_stages | {f"stages.{name}.{path}" for path in written} | {"dataset", "seed"})
    folder.write(
        experiment=experiment, stage=name, key=key, parts=parts, ancestors=ancestors, written=paths, metrics=found
    )
    if finished:
        (path / MODEL).touch()
    return folder


def gan(runs: Path, loss: str, seed: int, fid: float, **more: Any) -> StageFolder:
    parts = {"use": "gan", "loss": loss, f"source of loss/{loss}": loss[:3], "seed": str(seed), "dataset": "digits"}
    if loss == "hinge":
        parts["loss.margin"] = "1.0"
    return stage(runs, "gan", parts, metrics={"fid@judge": fid}, written=("loss",), **more)


def table(*named: Path, force: bool = False) -> Table:
    runs, lacking = gather([str(path) for path in named], (), Path("runs"))
    assert lacking == []
    return tabulate(runs, force=force)


def cells(made: Table) -> list[list[tuple[float, float | None, int, bool] | None]]:
    return [[cell and (cell.value, cell.deviation, cell.number, cell.best) for cell in row.cells] for row in made.rows]


def test_seeds_are_one_row_with_mean_and_deviation(tmp_path: Path) -> None:
    for loss, values in {"wasserstein": (4.0, 8.0), "hinge": (1.0, 2.0, 6.0)}.items():
        for seed, value in enumerate(values):
            gan(tmp_path, loss, seed, value)
    made = table(tmp_path / "small")
    assert made.options == ["stages.gan.loss"]  # not the margin, which nobody wrote, nor the source
    assert [row.options for row in made.rows] == [{"stages.gan.loss": "hinge"}, {"stages.gan.loss": "wasserstein"}]
    # (1 + 2 + 6) / 3 = 3; ((1 - 3)^2 + (2 - 3)^2 + (6 - 3)^2) / 2 = 7. (4 + 8) / 2 = 6; (4 + 4) / 1 = 8.
    assert cells(made) == [
        [(pytest.approx(3), pytest.approx(7**0.5), 3, True)],
        [(pytest.approx(6), pytest.approx(8**0.5), 2, False)],
    ]
    assert [(column.name, column.better) for column in made.columns] == [("fid@judge", "lower")]
    assert made.columns[0].protocol == PROTOCOL


def test_one_run_is_its_own_row(tmp_path: Path) -> None:
    only = gan(tmp_path, "hinge", 0, 2.0)
    for named in (tmp_path / "small", only.path, tmp_path):
        made = table(named)
        assert [row.options for row in made.rows] == [{"run": "small/gan"}]
        assert cells(made) == [[(2.0, None, 1, False)]]
    assert made.json() == {
        "options": ["run"],
        "metrics": {"fid@judge": {"stage": "gan", "better": "lower", "protocol": PROTOCOL}},
        "rows": [
            {
                "options": {"run": "small/gan"},
                "runs": [str(only.path)],
                "metrics": {"fid@judge": {"value": 2.0, "deviation": None, "number": 1, "best": False}},
            }
        ],
    }


def encoders(tmp_path: Path) -> None:
    for method, knn in (("simclr", 0.9), ("byol", 0.8)):
        features = {"use": "self-supervised", "encoder": method, "dataset": "digits", "seed": "0"}
        views = {"encoder.momentum": "0.99", "augmentation": "byol-views"} if method == "byol" else {}
        trained = stage(tmp_path, "features", features | views, metrics={"knn": knn}, written=("encoder",))
        probe = {"use": "classifier", "seed": "0", "dataset": "digits"}
        probed = stage(tmp_path, "probe", probe, {"features": trained}, metrics={"accuracy": knn + 0.01})
        for seed in (0, 1):
            parts = {"use": "gan", "loss": "hinge", "seed": str(seed), "dataset": "digits"}
            value = 10 * knn + seed
            stage(tmp_path, "gan", parts, {"probe": probed}, metrics={"fid@judge": value, "accuracy": 0.5 + seed / 4})


def test_options_and_metrics_of_earlier_stages_are_found(tmp_path: Path) -> None:
    """A stage that several runs share counts once; a metric of several stages is told apart."""
    encoders(tmp_path)
    made = table(tmp_path / "small")
    assert made.options == ["stages.features.encoder"]
    assert [row.options["stages.features.encoder"] for row in made.rows] == ["byol", "simclr"]
    assert [column.name for column in made.columns] == ["knn", "probe.accuracy", "fid@judge", "gan.accuracy"]
    half = pytest.approx(0.5**0.5)
    quarter = pytest.approx(0.25 / 2**0.5)
    assert cells(made) == [
        [(0.8, None, 1, False), (pytest.approx(0.81), None, 1, False), (8.5, half, 2, True), (0.625, quarter, 2, True)],
        [(0.9, None, 1, True), (pytest.approx(0.91), None, 1, True), (9.5, half, 2, False), (0.625, quarter, 2, True)],
    ]
    # Where the earlier stages are gone, the options are still known; so they are where a folder was moved.
    shutil.rmtree(tmp_path / "small" / "features")
    made = table(tmp_path / "small")
    assert made.options == ["stages.features.encoder"]
    assert [column.name for column in made.columns] == ["probe.accuracy", "fid@judge", "gan.accuracy"]
    moved = [
        shutil.copytree(path, tmp_path / f"moved-{n}") for n, path in enumerate((tmp_path / "small/gan").iterdir())
    ]
    made = table(*moved)
    assert made.options == ["stages.features.encoder"]
    assert [column.name for column in made.columns] == ["fid@judge", "accuracy"]


def test_data_of_all_stages_are_one_option(tmp_path: Path) -> None:
    for number, name in enumerate(("digits", "mnist-5k")):
        first = stage(tmp_path, "features", {"use": "x", "dataset": name, "dataset's content": name, "seed": "0"})
        parts = {"use": "gan", "dataset": name, "dataset's content": name, "seed": "0"}
        stage(tmp_path, "gan", parts, {"features": first}, metrics={"fid@judge": number})
    assert table(tmp_path).options == ["dataset"]


def test_rows_that_would_read_alike_say_what_differs(tmp_path: Path) -> None:
    """What nobody wrote, an edited component too, is shown where nothing else tells two rows apart."""
    for source, value in (("aaaa", 1.0), ("bbbb", 2.0)):
        parts = {"use": "gan", "loss": "mine", "source of loss/mine": source, "seed": "0", "loss.scale": source}
        stage(tmp_path, "gan", parts, metrics={"fid@judge": value}, written=("loss",))
    made = table(tmp_path / "small")
    assert made.options == ["stages.gan.source of loss/mine", "stages.gan.loss.scale"]
    assert [list(row.options.values()) for row in made.rows] == [["aaaa", "aaaa"], ["bbbb", "bbbb"]]


def test_rows_are_in_the_order_of_their_values(tmp_path: Path) -> None:
    for steps in ("1000", "30", "null", '"all"', "[1, 2]"):
        stage(tmp_path, "gan", {"use": "gan", "k": steps, "seed": "0"}, metrics={"fid@judge": 1.0}, written=("k",))
    assert [row.options["stages.gan.k"] for row in table(tmp_path).rows] == [None, 30, 1000, [1, 2], "all"]


def test_what_is_not_finished_or_old_is_in_no_table(tmp_path: Path) -> None:
    done = gan(tmp_path, "hinge", 0, 2.0)
    left = gan(tmp_path, "wasserstein", 0, 1.0, finished=False)
    shutil.copytree(done.path, done.path.with_name(f"{done.path.name}.old-20260101-000000"))
    assert [run.folder.path for run in gather([str(tmp_path)], (), Path())[0]] == [done.path]
    again, _ = gather([str(tmp_path / "small"), str(done.path), str(tmp_path)], (), Path())
    assert len(again) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(Mistakes) as caught:
        gather([str(left.path), str(tmp_path / "empty"), str(tmp_path)], (), Path())
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/empty: there is no finished stage in this folder",
        f"{left.path}: this stage is not finished: `ganvas train {left.path}` finishes it",
    ]


def test_stages_that_measure_stand_beside_what_they_measure(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    gans = [stage(runs, "gan", {"lr": lr}, written=("lr",), metrics={"fid@a": 9.0}) for lr in ("1", "2")]
    for gan, fids in zip(gans, ((4.0, 5.0), (6.0,)), strict=True):
        for number, fid in enumerate(fids):  # the second has the first one's name, as another experiment may call it
            options = {"sampler": str(number)}
            stage(runs, "rejected", options, {"gan": gan}, metrics={"fid@a": fid}).write(steps=0)
    alone = stage(runs, "images", {"of": '"digest"'}, metrics={"fid@a": 3.0})
    alone.write(steps=0)
    for path in (str(runs), str(runs / "small")):
        made = tabulate(gather([path], (), runs)[0])
        assert len(made.rows) == 3, path  # two GANs, and a folder of images that no stage here made
        found = {
            row.options.get("stages.gan.lr"): {
                column.name: cell.value for column, cell in zip(made.columns, row.cells, strict=True) if cell
            }
            for row in made.rows
        }
        assert found[2] == {"gan.fid@a": 9, "rejected.fid@a": 6}
        assert found[None] == {"images.fid@a": 3}
        (twin,) = {name for name in found[1] if name.startswith("rejected-")}
        assert {found[1].pop(twin), found[1].pop("rejected.fid@a")} == {4, 5}
        assert found[1] == {"gan.fid@a": 9}


def test_labels_of_a_sweep_stand_for_what_they_set(tmp_path: Path) -> None:
    for label, parts in {"small": {"width": "8", "lr": "1"}, "large": {"width": "64", "lr": "2"}}.items():
        for size in ("1", "2"):
            for seed in ("0", "1"):
                options = parts | {"size": size, "seed": seed}
                made = stage(tmp_path, "gan", options, written=("width", "lr", "size"), metrics={"fid@a": 1.0})
                made.write(label=label)
    found = table(tmp_path / "small")
    assert found.options == ["label", "stages.gan.size"]
    assert [row.options for row in found.rows] == [
        {"label": label, "stages.gan.size": size} for label in ("large", "small") for size in (1, 2)
    ]
    assert [len(row.runs) for row in found.rows] == [2, 2, 2, 2]
    # One run without a label: what differs is said in full.
    stage(tmp_path, "gan", {"width": "8", "lr": "3"}, written=("width", "lr"), metrics={"fid@a": 1.0})
    assert "stages.gan.width" in table(tmp_path / "small").options


def test_what_an_experiment_reused_belongs_to_it(tmp_path: Path) -> None:
    there = gan(tmp_path, "hinge", 0, 2.0, experiment="first")
    (tmp_path / "second").mkdir()
    last = {"stages": {"gan": os.path.relpath(there.path, tmp_path / "second")}}
    (tmp_path / "second" / "last.json").write_text(json.dumps(last))
    (run,) = gather([str(tmp_path / "second")], (), Path())[0]
    assert run.folder.path.resolve() == there.path.resolve()


def test_unlike_protocols_are_refused_by_field(tmp_path: Path) -> None:
    first = gan(tmp_path, "hinge", 0, 2.0)
    gan(tmp_path, "hinge", 1, 4.0)
    other = gan(tmp_path, "wasserstein", 0, 1.0, samples=50, judge={"steps": 10, "rate": 0.1}, weights="last")
    with pytest.raises(Mistakes) as caught:
        table(first.path, other.path)
    assert str(caught.value) == (
        f"fid@judge: unlike protocols: samples is 100 in {first.path}, 50 in {other.path}; "
        f"judge.rate is nothing in {first.path}, 0.1 in {other.path}; "
        f"weights is nothing in {first.path}, last in {other.path}; "
        "measure alike with `ganvas evaluate`, or give --force, which keeps them apart"
    )
    made = table(tmp_path, force=True)
    names = [f"fid@judge (samples {n}, judge.rate {rate}, weights {w})" for n, rate, w in
             ((100, "nothing", "nothing"), (50, "0.1", "last"))]  # fmt: skip
    assert sorted(column.name for column in made.columns) == sorted(names)
    found = {(row.options["stages.gan.loss"], column.name): cell and cell.value
             for row in made.rows for column, cell in zip(made.columns, row.cells)}  # fmt: skip
    assert found == {
        ("hinge", names[0]): 3.0,
        ("hinge", names[1]): None,
        ("wasserstein", names[0]): None,
        ("wasserstein", names[1]): 1.0,
    }
    # Nothing is better than what stands alone in its column.
    assert not any(cell.best for row in made.rows for cell in row.cells if cell is not None)


def test_no_number_is_never_the_best(tmp_path: Path) -> None:
    for loss, value in (("hinge", float("nan")), ("wasserstein", 3.0), ("minimax", 2.0)):
        gan(tmp_path, loss, 0, value)
    best = {row.options["stages.gan.loss"]: row.cells[0] and row.cells[0].best for row in table(tmp_path).rows}
    assert best == {"hinge": False, "minimax": True, "wasserstein": False}


def test_a_table_of_folders_needs_no_torch(tmp_path: Path) -> None:
    run = str(gan(tmp_path, "hinge", 0, 2.0).path)
    code = (
        "import sys; from ganvas.cli import main; sys.argv = ['ganvas', *sys.argv[1:]]; status = main._guarded(); "
        "print(status, 'torch' in sys.modules)"
    )
    asked = (["table", str(tmp_path)], ["runs", "--runs", str(tmp_path)], ["compare", run, run], ["clean", run])
    for words in asked:
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "0 False", done.stderr
