"""A trained stage: what metrics, samplers and notebooks hold in their hands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

import ganvas
from ganvas.engine.average import Average
from ganvas.engine.randomness import Randomness
from ganvas.engine.training import evaluating
from ganvas.kinds.algorithm import Algorithm
from ganvas.kinds.data import Data, MissingData
from ganvas.kinds.evaluation import Measurement, Metric, Sampler
from ganvas.spec.build import fork_random

__all__ = ["TrainedStage", "measure"]

BATCH = 250


class TrainedStage:
    """A stage with its weights in place. Methods of its algorithm (``encode``, ``translate``) are called as its own.

    Attributes:
        name, algorithm, data, device, seed: of the stage.
    """

    def __init__(self, name: str, algorithm: Algorithm, data: Data, device: torch.device, seed: int) -> None:
        self.name = name
        self.algorithm = algorithm
        self.data = data
        self.device = device
        self.seed = seed
        self._fakes: dict[int, tuple[Tensor, Tensor | None]] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "algorithm":
            raise AttributeError(name)
        found = getattr(self.algorithm, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            moved = [value.to(self.device) if isinstance(value, Tensor) else value for value in given]
            with torch.no_grad(), evaluating(self.algorithm):
                return found(*moved, **named)

        return call

    def sample(
        self, number: int, condition: Any = None, seed: int | None = None, sampler: Sampler | None = None
    ) -> Tensor:
        """Draws samples.

        Args:
            number: how many.
            condition: None draws conditions as the stage's prior says; a class's number or name, or a list, holds for
                all; a tensor (number, K) gives one per sample.
            seed: of the draws; the stage's own otherwise. The same seed gives the same images.
            sampler: what draws them, ``ganvas.build("sampler", "truncation", stage)``; the stage itself otherwise.

        Returns:
            (number, C, H, W) in [-1, 1], on the stage's device.

        Raises:
            ValueError: the stage draws no samples or has no such condition, or the sampler cannot draw from it.
        """
        if sampler is not None:
            sampler.check(self.algorithm)
        elif not hasattr(self.algorithm, "sample"):
            raise ValueError(f"the stage {self.name!r} ({self.algorithm.component_name}) draws no samples")
        draw: Any = self.algorithm.sample if sampler is None else sampler.sample
        rows = None if condition is None else self._rows(number, condition)
        randomness = Randomness(self.seed if seed is None else seed, self.device)
        images = []
        # A notebook's own random numbers go on as if nothing had been drawn here.
        with fork_random(0), torch.no_grad(), evaluating(self.algorithm):
            rng = randomness.at("sample")
            for start in range(0, number, BATCH):
                count = min(BATCH, number - start)
                images.append(draw(count, None if rows is None else rows[start : start + count], rng=rng))
        return torch.cat(images)

    def fakes(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Samples and their conditions, drawn once and shared by all metrics that ask for as many."""
        if number not in self._fakes:
            rng = Randomness(self.seed, self.device).at("fakes")
            condition = getattr(self.algorithm, "condition", None)
            rows = None if condition is None else condition.sample(number, rng)
            self._fakes[number] = (self.sample(number, rows), rows)
        return self._fakes[number]

    def _rows(self, number: int, condition: Any) -> Tensor:
        if isinstance(condition, Tensor) and condition.dim() >= 2:
            if len(condition) != number:
                raise ValueError(f"{len(condition)} conditions for {number} samples")
            return condition.to(self.device)
        own = getattr(self.algorithm, "condition", None)
        if own is None or own.shape is None:
            raise ValueError(f"the stage {self.name!r} has no condition")
        row = condition if isinstance(condition, Tensor) else own.parse(condition)
        return row.to(self.device, torch.float32).expand(number, *row.shape)


def measure(
    stage: TrainedStage, metrics: Sequence[Metric], average: Average | None, *, averaged: bool
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Measures a stage.

    Args:
        average: swapped in while measuring; None where the averaged weights are in place already.
        averaged: whether what is measured are averaged weights, for the protocol.

    Returns:
        Name -> value, deviation, better, protocol; and a line for each metric that failed.
    """
    found: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    randomness = Randomness(stage.seed, stage.device)
    modes = evaluating(stage.algorithm)
    with torch.no_grad(), modes, average.applied() if average is not None else nullcontext():
        for metric in metrics:
            name = getattr(metric, "component_name", type(metric).__name__)
            randomness.at("metric", name)
            try:
                measured: Mapping[str, Measurement] = metric.measure(stage)
            except (MissingData, ValueError) as error:
                failures.append(f"the metric {name!r} was not measured: {error}")
                continue
            protocol = {
                **metric.protocol,
                "weights": "averaged" if averaged else "last",
                "seed": stage.seed,
                "ganvas": ganvas.__version__,
                "torch": torch.__version__,
            }
            for label, value in measured.items():
                found[label] = {**value.json(), "protocol": protocol}
    return found, failures
