"""Tables as text, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganvas.cli import tables
from ganvas.runs.listing import StageOnDisk
from ganvas.runs.table import Cell, Column, Row, Table


@pytest.fixture
def table() -> Table:
    columns = [Column("fid@judge", "gan", "lower", {"samples": 10}), Column("knn", "features", "higher", {})]
    rows = [
        Row({"stages.gan.loss": "hinge", "stages.gan.lr": 1e-4}, [], [Cell(12.3456, 0.4321, 3, True), None]),
        Row({"stages.gan.loss": "a_b|c", "stages.gan.lr": None}, [], [Cell(100.0, None, 1), Cell(0.98765, None, 1)]),
    ]
    return Table(["stages.gan.loss", "stages.gan.lr"], columns, rows)


def test_plain(table: Table) -> None:
    assert tables.plain(table).splitlines() == [
        "gan.loss  gan.lr       fid@judge ↓     knn ↑",
        "hinge     0.0001  12.35 ± 0.43 (3) *",
        "a_b|c                          100    0.9877",
        "* best",
    ]
    alone = Table(table.options, table.columns, table.rows[1:])
    assert tables.plain(alone).splitlines() == [
        "gan.loss  gan.lr  fid@judge ↓   knn ↑",
        "a_b|c                     100  0.9877",
    ]


def test_markdown(table: Table) -> None:
    assert tables.markdown(table) == (
        "| gan.loss | gan.lr | fid@judge ↓ | knn ↑ |\n"
        "| --- | --- | ---: | ---: |\n"
        "| hinge | 0.0001 | **12.35 ± 0.43 (3)** |  |\n"
        "| a_b\\|c |  | 100 | 0.9877 |"
    )


def test_latex(table: Table) -> None:
    assert tables.latex(table) == (
        "\\begin{tabular}{llrr}\n"
        "\\toprule\n"
        "gan.loss & gan.lr & fid@judge $\\downarrow$ & knn $\\uparrow$ \\\\\n"
        "\\midrule\n"
        "hinge & 0.0001 & \\textbf{12.35 $\\pm$ 0.43 (3)} &  \\\\\n"
        "a\\_b|c &  & 100 & 0.9877 \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}"
    )


def test_json(table: Table) -> None:
    assert json.loads(tables.json_text(table)) == {
        "options": ["stages.gan.loss", "stages.gan.lr"],
        "metrics": {
            "fid@judge": {"stage": "gan", "better": "lower", "protocol": {"samples": 10}},
            "knn": {"stage": "features", "better": "higher", "protocol": {}},
        },
        "rows": [
            {
                "options": {"stages.gan.loss": "hinge", "stages.gan.lr": 1e-4},
                "runs": [],
                "metrics": {"fid@judge": {"value": 12.3456, "deviation": 0.4321, "number": 3, "best": True}},
            },
            {
                "options": {"stages.gan.loss": "a_b|c", "stages.gan.lr": None},
                "runs": [],
                "metrics": {
                    "fid@judge": {"value": 100.0, "deviation": None, "number": 1, "best": False},
                    "knn": {"value": 0.98765, "deviation": None, "number": 1, "best": False},
                },
            },
        ],
    }


def test_stages() -> None:
    some = [
        StageOnDisk("a", "gan", "", "1", "runs/a/gan/1", "finished", 10, 10, 999, "1970-01-02T00:00:00+0000", []),
        StageOnDisk(
            *("b", "gan", "x", "2", "runs/b/gan/x-2", "unfinished", 50, 20, 1_234_567, "2026-01-02T10:20:30+0000"),
            ["runs/a/gan/1", "runs/a/gan/3", "runs/a/gan/4"],
        ),
    ]
    assert tables.stages(some, Path("runs")) == (
        "experiment  stage  run  status      steps  size    last use          used by\n"
        "a           gan    1    finished    10     999 B   1970-01-02 00:00\n"
        "b           gan    x-2  unfinished  20/50  1.2 MB  2026-01-02 10:20  a/gan/1 and 2 more\n"
        "2 stages, 1.2 MB"
    )
    assert tables.stages([], Path("runs")) == "there is nothing in runs"
