"""What a training shows: progress bars on a terminal, one plain line a minute in a pipe, a table at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table

from ganvas.engine.training import Progress
from ganvas.runs.experiment import Reporter, StageResult
from ganvas.spec.experiment import Experiment

__all__ = ["ConsoleReporter", "final_table", "metric_lines"]

QUIET_SECONDS = 60.0


class ConsoleReporter(Reporter):
    """Progress on standard error, so that standard output stays clean; in a pipe a line every ``seconds``."""

    def __init__(self, quiet: bool = False, seconds: float = QUIET_SECONDS) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self.seconds = seconds

    def say(self, message: str) -> None:
        self.console.print(message, markup=False)

    def warn(self, message: str) -> None:
        self.console.print(f"warning: {message}", markup=False)

    @contextmanager
    def stage(self, name: str, progress: Progress) -> Iterator[None]:
        shown = self._bars if self.console.is_terminal and not self.quiet else self._lines
        with shown(name, progress):
            yield

    @contextmanager
    def _bars(self, name: str, progress: Progress) -> Iterator[None]:
        whole = Column(no_wrap=True)  # on a narrow terminal the losses are cut, not the numbers before them
        columns = (
            TextColumn("{task.description}", table_column=whole),
            BarColumn(bar_width=12, table_column=whole),
            MofNCompleteColumn(table_column=whole),
            TimeElapsedColumn(table_column=whole),
            TextColumn("left", table_column=whole),
            TimeRemainingColumn(table_column=whole),
            TextColumn("{task.fields[scalars]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        )
        with Bars(*columns, console=self.console, expand=True) as bars:
            task = bars.add_task(name, total=None, scalars="")

            def show() -> None:
                said = progress.doing or _seen(progress)
                bars.update(task, total=progress.steps or None, completed=progress.index, scalars=said)

            with _watching(show, 0.25):
                yield
            show()

    @contextmanager
    def _lines(self, name: str, progress: Progress) -> Iterator[None]:
        begun = time.monotonic()
        first: list[int] = []

        def show() -> None:
            if not progress.steps:
                return
            first.append(progress.index)
            spent = time.monotonic() - begun
            done = progress.index - first[0]
            left = f"{spent / done * (progress.steps - progress.index):.0f} s left" if done else "starting"
            said = progress.doing or _seen(progress)
            self.say(f"{name}: {progress.index}/{progress.steps}, {spent:.0f} s, {left}{', ' + said if said else ''}")

        with _watching(show, self.seconds):
            yield
        if progress.steps:
            spent = time.monotonic() - begun
            self.say(f"{name}: {progress.index}/{progress.steps}, {spent:.0f} s, {_seen(progress)}")


@contextmanager
def _watching(show: Any, every: float) -> Iterator[None]:
    """Calls ``show`` from a thread of its own: training never waits for the terminal."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(every):
            show()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _seen(progress: Progress) -> str:
    """What is wrong, if anything is, and the losses."""
    scalars = progress.scalars
    shown = [(tag.partition("/")[2], value) for tag, value in scalars.items() if tag.startswith(("loss/", "penalty/"))]
    return "  ".join(filter(None, [progress.finding, *(f"{tag} {value:.3g}" for tag, value in shown[:4])]))


def metric_lines(metrics: Mapping[str, Any]) -> list[str]:
    """``fid@classifier  12.3  (lower is better)``."""
    width = max((len(name) for name in metrics), default=0)
    return [f"{name:<{width}}  {number(found)}  ({found['better']} is better)" for name, found in metrics.items()]


def number(found: Mapping[str, Any]) -> str:
    """``12.3 ± 0.4``: a value with its deviation, where it has one."""
    deviation = found.get("deviation")
    return f"{found['value']:.4g}" + (f" ± {deviation:.2g}" if deviation is not None else "")


def final_table(experiment: Experiment, results: Mapping[str, StageResult], runs: Path) -> None:
    """The metrics of every stage, and the places to look."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(title=experiment.name, title_justify="left")
    for heading in ("stage", "status", "metric", "value", "better"):
        table.add_column(heading, no_wrap=True)
    for name, result in results.items():
        rows = [(metric, number(found), found["better"]) for metric, found in result.metrics.items()] or [("", "", "")]
        for index, row in enumerate(rows):
            table.add_row(*((name, result.status) if index == 0 else ("", "")), *row)
    console.print(table)
    for name, result in results.items():
        console.print(f"{name}: {result.folder}", markup=False)
    last = list(results.values())[-1]
    grids = sorted((last.folder / "samples").glob("samples-*.png"))
    if grids:
        console.print(f"samples: {grids[-1]}", markup=False)
    console.print(f"curves: tensorboard --logdir {runs}", markup=False)
