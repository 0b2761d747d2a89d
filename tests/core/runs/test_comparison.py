"""Which options of two runs are told, what the difference is, and what is not put side by side."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ganvas.cli import tables
from ganvas.registry.documents import Mistakes
from ganvas.runs.comparison import Comparison, compare, find_runs
from ganvas.runs.folders import MODEL, StageFolder

PROTOCOL = {"samples": 100, "extractor": "judge", "sampler": "none"}


def number(value: float, better: str = "lower", seed: int = 0, **protocol: Any) -> dict[str, Any]:
    return {"value": value, "deviation": None, "better": better, "protocol": PROTOCOL | protocol | {"seed": seed}}


def stage(
    runs: Path, key: str, parts: dict[str, str], metrics: dict[str, Any] | None = None, **record: Any
) -> StageFolder:
    """A stage's folder as a training leaves it, as far as comparisons look."""
    name = record.pop("stage", "gan")
    folder = StageFolder(runs / "small" / name / key)
    folder.path.mkdir(parents=True)
    known = {"ancestors": {}, "written": ["dataset", f"stages.{name}.loss"], "metrics": metrics or {}}
    folder.write(**{"experiment": "small", "stage": name, "key": key, "parts": parts} | known | record)
    (folder.path / MODEL).touch()
    return folder


def compared(*folders: StageFolder, force: bool = False) -> Comparison:
    return compare(*find_runs([str(folder.path) for folder in folders], None, (), Path("runs")), force=force)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[StageFolder, StageFolder]:
    hinge = {"use": "gan", "loss": "hinge", "loss.margin": "1.0", "source of loss/hinge": "aa", "steps": "10"}
    other = {"use": "gan", "loss": "wasserstein", "source of loss/wasserstein": "bb", "steps": "10"}
    common = {"dataset": "digits", "seed": "0", "source of algorithm/gan": "cc"}
    first = stage(tmp_path, "a" * 12, hinge | common, {"fid@judge": number(4.0), "diversity": number(0.5, "higher")})
    second = stage(
        tmp_path,
        "b" * 12,
        other | common | {"seed": "1", "source of algorithm/gan": "dd"},
        {"fid@judge": number(2.5, seed=1), "fid@judge+truncation": number(3.0)},
    )
    return first, second


def test_options_metrics_and_their_difference(pair) -> None:
    first, second = pair
    found = compared(first, second)
    assert found.json() == {
        "a": str(first.path),
        "b": str(second.path),
        "options": {
            "stages.gan.loss": {"a": "hinge", "b": "wasserstein"},
            "stages.gan.loss.margin": {"a": 1.0, "b": None},
            "stages.gan.source of algorithm/gan": {"a": "cc", "b": "dd"},
            "seed": {"a": 0, "b": 1},
        },
        "metrics": {
            "fid@judge": {
                "stage": "gan",
                "better": "lower",
                "protocol": PROTOCOL,
                "a": 4.0,
                "b": 2.5,
                "difference": -1.5,
            },
            "diversity": {
                "stage": "gan",
                "better": "higher",
                "protocol": PROTOCOL,
                "a": 0.5,
                "b": None,
                "difference": None,
            },
            "fid@judge+truncation": {
                "stage": "gan",
                "better": "lower",
                "protocol": PROTOCOL,
                "a": None,
                "b": 3.0,
                "difference": None,
            },
        },
    }
    assert (
        tables.comparison(found).splitlines()
        == [
            f"A: {first.path}",
            f"B: {second.path}",
            "",
            "option                       A      B",
            "gan.loss                     hinge  wasserstein",
            "gan.loss.margin              1.0",
            "gan.source of algorithm/gan  cc     dd",
            "seed                         0      1",
            "",
            "metric                    A      B    B - A",
            "fid@judge ↓             4      2.5 *   -1.5",
            "diversity ↑           0.5",
            "fid@judge+truncation ↓           3",
            "* best",
        ]
        or tables.comparison(found).splitlines()
    )
    assert [one.value for one in compared(second, first).metrics if one.column.name == "fid@judge"] == [1.5]


def test_the_same_run_twice(pair) -> None:
    first, _ = pair
    found = compared(first, first)
    assert found.options == {}
    assert {one.column.name: one.value for one in found.metrics} == {"fid@judge": 0.0, "diversity": 0.0}
    assert "no option differs" in tables.comparison(found).splitlines()


def test_nothing_measured(tmp_path: Path) -> None:
    runs = [stage(tmp_path, key * 12, {"use": "gan", "steps": steps}) for key, steps in (("a", "1"), ("b", "2"))]
    assert tables.comparison(compared(*runs)) == (
        f"A: {runs[0].path}\nB: {runs[1].path}\n\n"
        "option     A  B\n"
        "gan.steps  1  2\n\n"
        "nothing was measured; `ganvas evaluate RUN --metric M` does"
    )


def test_stages_and_seeds_of_their_own(tmp_path: Path) -> None:
    features = stage(
        tmp_path, "f" * 12, {"use": "x", "seed": "3"}, {"knn": number(0.9, "higher")}, stage="features",
        written=["stages.features.seed"],
    )  # fmt: skip
    uses = {"features": {"key": features.record["key"], "parts": features.record["parts"]}}
    parts = {"use": "gan", "seed": "0"}
    alone = stage(tmp_path, "a" * 12, parts)
    both = stage(tmp_path, "b" * 12, parts, ancestors=uses, written=["stages.features.seed"])
    found = compared(alone, both)
    assert found.options == {"stages": ("gan", "features, gan"), "stages.features.seed": (None, 3)}
    assert [(one.column.name, one.cells[1] and one.cells[1].value) for one in found.metrics] == [("knn", 0.9)]


def test_unlike_protocols_are_refused_by_field(tmp_path: Path) -> None:
    first = stage(tmp_path, "a" * 12, {"use": "gan"}, {"fid@judge": number(4.0)})
    second = stage(tmp_path, "b" * 12, {"use": "gan"}, {"fid@judge": number(2.0, samples=50, seed=7)})
    with pytest.raises(Mistakes) as caught:
        compared(first, second)
    assert str(caught.value) == (
        f"fid@judge: unlike protocols: samples is 100 in {first.path}, 50 in {second.path}; "
        "measure alike with `ganvas evaluate`, or give --force, which keeps them apart"
    )
    found = compared(first, second, force=True)
    assert tables.comparison(found).splitlines()[4:] == [
        "",
        "metric                     A  B  B - A",
        "fid@judge (samples 100) ↓  4",
        "fid@judge (samples 50) ↓      2",
    ]
    assert [one.value for one in found.metrics] == [None, None]


def test_a_sampler_with_other_settings_is_an_unlike_protocol(tmp_path: Path) -> None:
    runs = [
        stage(
            tmp_path, key * 12, {"use": "gan"},
            {"fid@judge+mine": number(2.0, sampler={"use": "mine", "network": {"width": width}})},
        )
        for key, width in (("a", 8), ("b", 16))
    ]  # fmt: skip
    with pytest.raises(Mistakes, match=r"sampler\.network\.width is 8 in .*, 16 in "):
        compared(*runs)


def test_runs_are_found(pair, tmp_path: Path) -> None:
    first, second = pair
    experiment = tmp_path / "other"
    experiment.mkdir()
    last = {"features": os.path.relpath(first.path, experiment), "gan": os.path.relpath(second.path, experiment)}
    (experiment / "last.json").write_text(json.dumps({"stages": last}))
    (run,) = find_runs([str(experiment)], None, (), Path("runs"))
    assert run.folder.path.resolve() == second.path
    (run,) = find_runs([str(experiment)], "features", (), Path("runs"))
    assert run.folder.path.resolve() == first.path


def test_what_is_no_run_is_told_all_at_once(pair, tmp_path: Path) -> None:
    first, _ = pair
    (first.path / MODEL).unlink()
    (tmp_path / "empty").mkdir()
    experiment = tmp_path / "other"
    experiment.mkdir()
    (experiment / "last.json").write_text(json.dumps({"stages": {"gan": os.path.relpath(first.path, experiment)}}))
    with pytest.raises(Mistakes) as caught:
        find_runs([str(tmp_path / "empty"), str(first.path)], None, (), Path("runs"))
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/empty: this is neither an experiment's folder (with a last.json) nor a stage's "
        "(with a stage.json)",
        f"{first.path}: the stage in {first.path} is not finished: `ganvas train {first.path}` finishes it",
    ]
    with pytest.raises(Mistakes) as caught:
        find_runs([str(experiment), str(tmp_path / "none.yaml")], "gann", (), Path("runs"))
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/none.yaml: there is no such file",
        f"{experiment}: there is no stage 'gann'; did you mean 'gan'?",
    ]
