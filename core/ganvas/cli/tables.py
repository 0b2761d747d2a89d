"""Tables as text: for a terminal, as JSON, in Markdown and in LaTeX."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ganvas.runs.cleaning import shown
from ganvas.runs.comparison import Comparison
from ganvas.runs.listing import StageOnDisk
from ganvas.runs.table import Cell, Column, Table

__all__ = ["cleaning", "comparison", "json_text", "latex", "markdown", "plain", "stages"]


def plain(table: Table) -> str:
    """Columns of equal width; ``*`` marks the best of each metric."""
    best = any(cell is not None and cell.best for row in table.rows for cell in row.cells)
    mark, room = (" *", "  ") if best else ("", "")

    def marked(cell: Cell | None) -> str:
        return "" if cell is None else number(cell) + (mark if cell.best else room)

    head = [*_names(table), *(title + room for title in _titles(table))]
    rows = [[*_options(table, row.options), *map(marked, row.cells)] for row in table.rows]
    lines = _aligned([head, *rows], len(table.options))
    return "\n".join([*lines, "* best"] if best else lines)


def json_text(table: Table) -> str:
    """One object: ``options``, ``metrics`` by name with their protocols, ``rows``."""
    return json.dumps(table.json(), indent=1)


def markdown(table: Table) -> str:
    """Of the pipe kind; the best of each metric is bold."""
    head = [*_names(table), *_titles(table)]
    rules = ["---"] * len(table.options) + ["---:"] * len(table.columns)
    rows = [
        [*_options(table, row.options), *(_bold(cell, number, "**{}**") for cell in row.cells)] for row in table.rows
    ]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in [head, rules, *rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def latex(table: Table) -> str:
    """A tabular with booktabs; the best of each metric is bold."""
    head = [*map(_escaped, _names(table)), *(_escaped(title) for title in _titles(table))]
    rows = [
        [
            *map(_escaped, _options(table, row.options)),
            *(_bold(cell, lambda one: _escaped(number(one)), "\\textbf{{{}}}") for cell in row.cells),
        ]
        for row in table.rows
    ]
    columns = "l" * len(table.options) + "r" * len(table.columns)
    body = [" & ".join(line) + r" \\" for line in rows]
    top = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    return "\n".join([*top, *body, r"\bottomrule", r"\end{tabular}"])


def stages(found: Sequence[StageOnDisk], runs: Path) -> str:
    """What ``ganvas runs`` prints."""
    if not found:
        return f"there is nothing in {runs}"
    head = ["experiment", "stage", "run", "status", "steps", "size", "last use", "used by"]
    rows = [
        [
            one.experiment,
            one.stage,
            f"{one.label}-{one.key}" if one.label else one.key,
            one.status,
            str(one.steps) if one.done == one.steps else f"{one.done}/{one.steps}",
            _size(one.size),
            one.used[:16].replace("T", " "),
            _users([os.path.relpath(user, runs) for user in one.used_by]),
        ]
        for one in found
    ]
    total = f"{len(found)} stages, {_size(sum(one.size for one in found))}"
    return "\n".join([*_aligned([head, *rows], len(head)), total])


def comparison(found: Comparison) -> str:
    """What ``ganvas compare`` prints."""
    lines = [f"{name}: {run.folder.path}" for name, run in zip("AB", found.runs, strict=True)]
    if found.options:
        rows = [
            [path.removeprefix("stages."), *(_value(value) for value in values)]
            for path, values in found.options.items()
        ]
        lines += ["", *_aligned([["option", "A", "B"], *rows], 3)]
    else:
        lines += ["", "no option differs"]
    if found.metrics:
        best = any(cell is not None and cell.best for one in found.metrics for cell in one.cells)
        mark, room = (" *", "  ") if best else ("", "")
        rows = [["metric", "A" + room, "B" + room, "B - A"]]
        for one in found.metrics:
            cells = ["" if cell is None else number(cell) + (mark if cell.best else room) for cell in one.cells]
            rows.append([_title(one.column), *cells, "" if one.value is None else f"{one.value:+.4g}"])
        lines += ["", *_aligned(rows, 1), *(["* better"] if best else [])]
    else:
        lines += ["", "nothing was measured; `ganvas evaluate RUN --metric M` does"]
    return "\n".join(lines)


def cleaning(found: Sequence[StageOnDisk], done: bool) -> str:
    """What ``ganvas clean`` prints: what goes, how large it is and who uses it."""
    rows = [
        [shown(one.folder), one.status, _size(one.size), _users([shown(user) for user in one.used_by])] for one in found
    ]
    word = "stage" if len(found) == 1 else "stages"
    total = f"{len(found)} {word}, {_size(sum(one.size for one in found))}"
    said = f"removed {total}" if done else f"{total} would be removed; --yes removes"
    return "\n".join([*_aligned([["run", "status", "size", "used by"], *rows], 4), said])


def number(cell: Cell) -> str:
    """``12.3 ± 0.4 (3)``: the mean, the deviation and the number of runs; a single run has its value only."""
    if cell.deviation is None:
        return f"{cell.value:.4g}"
    return f"{cell.value:.4g} ± {cell.deviation:.2g} ({cell.number})"


def _names(table: Table) -> list[str]:
    return [path.removeprefix("stages.") for path in table.options]


def _titles(table: Table) -> list[str]:
    return [_title(column) for column in table.columns]


def _title(column: Column) -> str:
    return f"{column.name} {'↓' if column.better == 'lower' else '↑'}"


def _options(table: Table, options: dict[str, Any]) -> list[str]:
    return [_value(options[path]) for path in table.options]


def _value(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _bold(cell: Cell | None, shown: Callable[[Cell], str], bold: str) -> str:
    return "" if cell is None else bold.format(shown(cell)) if cell.best else shown(cell)


def _aligned(lines: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns of equal width, the first ``left`` to the left, the others to the right."""
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]


def _users(users: Sequence[str]) -> str:
    return ", ".join(users) if len(users) < 3 else f"{users[0]} and {len(users) - 1} more"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
