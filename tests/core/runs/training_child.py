"""A training in a process of its own that writes down what it says. Imported by path in test_experiment."""

from __future__ import annotations

from pathlib import Path

import torch

from ganvas.runs.api import read
from ganvas.runs.experiment import Reporter, train_experiment


def train(spec: str, runs: str, said: str) -> None:
    torch.set_num_threads(1)

    def say(message: str) -> None:
        with open(said, "a") as file:
            file.write(message + "\n")

    reporter = Reporter()
    reporter.say = say  # type: ignore[method-assign]
    results = train_experiment(read(Path(spec)), Path(runs), torch.device("cpu"), reporter)
    say(f"trained: {[name for name, result in results.items() if result.status == 'trained']}")
