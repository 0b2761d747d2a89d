"""A trained stage: what metrics, samplers and notebooks hold in their hands."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

import ganvas
from ganvas.engine.average import Average
from ganvas.engine.exploration import Exploration
from ganvas.engine.memory import keep_freed_memory
from ganvas.engine.modules import evaluating
from ganvas.engine.randomness import Randomness
from ganvas.kinds.algorithm import Algorithm, Preview
from ganvas.kinds.data import Data, MissingData, evenly
from ganvas.kinds.evaluation import Encoded, Measurement, Metric, Sampler
from ganvas.spec.build import fork_random

__all__ = ["TrainedStage", "measure", "portrait"]

BATCH = 250
T = TypeVar("T")


class TrainedStage(Exploration):
    """A stage with its weights in place. Methods of its algorithm (``encode``, ``translate``) are called as its own.

    Attributes:
        name, algorithm, data, device, seed: of the stage.
        sampler: what draws wherever ``sample`` is given none; None for the stage itself.
    """

    sampler: Sampler | None = None

    def __init__(self, name: str, algorithm: Algorithm, data: Data, device: torch.device, seed: int) -> None:
        self.name = name
        self.algorithm = algorithm
        self.data = data
        self.device = device
        self.seed = seed
        self._made: dict[Hashable, Any] = {}

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
            sampler: what draws them, ``ganvas.build("sampler", "truncation", stage)``; ``self.sampler`` otherwise.

        Returns:
            (number, C, H, W) in [-1, 1], on the stage's device.

        Raises:
            ValueError: the stage draws no samples or has no such condition, or the sampler cannot draw from it.
        """
        sampler = sampler or self.sampler
        if sampler is not None:
            sampler.check(self.algorithm)
            sampler.start()
        elif not hasattr(self.algorithm, "sample"):
            raise ValueError(f"the stage {self.name!r} ({self.algorithm.component_name}) draws no samples")
        drawer: Any = self.algorithm if sampler is None else sampler
        return torch.cat(self._drawn(drawer.sample, number, condition, seed))

    def draw(
        self, number: int, condition: Any = None, seed: int | None = None, sampler: Sampler | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What ``sample`` makes its samples from: latents (number, D), and conditions or None.

        The arguments are those of ``sample``; ``generate(latents, conditions)``, the sampler's where there is one,
        makes the images of what one has moved.

        Raises:
            ValueError: the stage has no generator or no such condition, or the sampler does not tell what it draws.
        """
        self._prior()
        if sampler is not None:
            sampler.check(self.algorithm)
        drawn = self._drawn((self.algorithm if sampler is None else sampler).draw, number, condition, seed)
        latents, rows = zip(*drawn, strict=True)
        return torch.cat(latents), None if rows[0] is None else torch.cat(rows)

    def _drawn(self, draw: Callable[..., Any], number: int, condition: Any, seed: int | None) -> list[Any]:
        """What ``draw(number, condition, rng=rng)`` gives, batch by batch."""
        rows = None if condition is None else self._rows(number, condition)
        with self._drawing(seed, "sample") as rng:
            return [
                draw(min(BATCH, number - start), None if rows is None else rows[start : start + BATCH], rng=rng)
                for start in range(0, number, BATCH)
            ]

    @contextmanager
    def _drawing(self, seed: int | None, purpose: str) -> Iterator[torch.Generator]:
        """The generator for a purpose; everything in eval mode, and nothing for autograd."""
        # A notebook's own random numbers go on as if nothing had been drawn here.
        with fork_random(0), torch.no_grad(), evaluating(self.algorithm):
            yield Randomness(self.seed if seed is None else seed, self.device).at(purpose)

    def fakes(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Samples and their conditions, drawn once and shared by all metrics that ask for as many."""

        def make() -> tuple[Tensor, Tensor | None]:
            rng = Randomness(self.seed, self.device).at("fakes")
            condition = getattr(self.algorithm, "condition", None)
            rows = None if condition is None else condition.sample(number, rng)
            return self.sample(number, rows), rows

        return self.once(("fakes", number), make)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once and shared by all that ask with the same key, until ``forget``."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def encoded(self, number: int | None = None, *, held_out: bool = False) -> Encoded:
        """Features of the data, computed once and shared by all that ask for the same.

        Args:
            number: of samples, spread evenly over the data; all of them if none.
            held_out: of what the data hold out instead.

        Raises:
            ValueError: the stage has no encoder, its features are not finite, or nothing is held out.
        """
        if not hasattr(self.algorithm, "encode"):
            raise ValueError(f"the stage {self.name!r} ({self.algorithm.component_name}) encodes nothing")
        data = self.data.held_out() if held_out else self.data
        if data is None:
            raise ValueError(f"the data of {self.name!r} hold nothing out")
        number = None if number is None or number >= len(data) else number

        def make() -> Encoded:
            chosen = None if number is None else evenly(len(data), number)
            whole: Encoded | None = self._made.get(("encoded", held_out, None))
            known = None if whole is None or chosen is None else whole[chosen]
            return known or self._encode(data, chosen)

        return self.once(("encoded", held_out, number), make)

    def _encode(self, data: Data, chosen: Tensor | None) -> Encoded:
        features, labels, index = [], [], []
        for batch in data.batches(BATCH, indices=chosen):
            features.append(self.encode(batch["images"]).flatten(1).float())
            index.append(batch["index"])
            if "labels" in batch:
                labels.append(batch["labels"].long())
        made = torch.cat(features)
        if broken := int((~made.isfinite().all(1)).sum()):
            raise ValueError(f"{broken} of {len(made)} features are not finite: the encoder of {self.name!r} diverged")
        return Encoded(made, torch.cat(labels) if labels else None, torch.cat(index))

    def forget(self) -> None:
        """Drops what was drawn and computed once: the weights are others now."""
        self._made.clear()

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
    stage: TrainedStage,
    metrics: Sequence[Metric],
    average: Average | None,
    *,
    sampler: Mapping[str, Any] | str = "none",
) -> tuple[dict[str, dict[str, Any]], dict[str, Preview], dict[int, str]]:
    """Measures a stage.

    Args:
        average: swapped in while measuring; None where the averaged weights are in place already.
        sampler: how the stage's sampler stands in the protocol of what is measured on samples.

    Returns:
        Name -> value, deviation, better, protocol; the metrics' pictures by name; a line for each metric that failed,
        by its place among the metrics.
    """
    keep_freed_memory()
    found: dict[str, dict[str, Any]] = {}
    pictures: dict[str, Preview] = {}
    failures: dict[int, str] = {}
    randomness = Randomness(stage.seed, stage.device)
    modes = evaluating(stage.algorithm)
    with torch.no_grad(), modes, average.applied() if average is not None else nullcontext():
        for place, metric in enumerate(metrics):
            name = getattr(metric, "component_name", type(metric).__name__)
            randomness.at("metric", name)
            try:
                measured: Mapping[str, Measurement] = metric.measure(stage)
                pictures |= metric.previews()
            except Exception as error:  # whatever went wrong in it, the stage is trained and the others are measured
                said = str(error) if isinstance(error, MissingData | ValueError) else f"{type(error).__name__}: {error}"
                failures[place] = f"the metric {name!r} was not measured: {said}"
                continue
            protocol = {
                **metric.protocol,
                **({"sampler": sampler} if "sample" in metric.needs else {}),
                "state": "last",
                "average": average is not None or stage.algorithm.holds_average,
                "seed": stage.seed,
                "ganvas": ganvas.__version__,
                "torch": torch.__version__,
            }
            for label, value in measured.items():
                found[label] = {**value.json(), "protocol": protocol}
    return found, pictures, failures


def portrait(stage: TrainedStage, average: Average | None, warn: Callable[[str], None]) -> dict[str, Preview]:
    """The last pictures of a stage, with its averaged weights; one that cannot be drawn is warned of."""
    randomness = Randomness(stage.seed, stage.device)
    randomness.at("portrait")
    modes = evaluating(stage.algorithm)
    with torch.no_grad(), modes, average.applied() if average is not None else nullcontext():
        try:
            return stage.algorithm.portrait(stage)
        except (MissingData, ValueError) as error:
            warn(f"{stage.name}: no portrait was drawn: {error}")
            return {}
