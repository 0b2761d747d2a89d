"""Pictures of a generator's latent space: ways between samples, sums of samples, one number after the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganvas.kinds.algorithm import Algorithm, Preview
from ganvas.kinds.evaluation import Sampler
from ganvas.kinds.records import Latents
from ganvas.registry.documents import did_you_mean

__all__ = ["Exploration"]

MOST_SAMPLES = 100_000  # a number beyond is a slip of the finger
MOST_AXES = 16  # of a group that is traversed without being named
DRAWN = 1000  # conditions that tell how far their numbers go
CONDITION = "condition"  # what the condition's numbers are called beside the groups of latents


class Exploration:
    """What a trained stage shows of its latent space; the part of ``TrainedStage`` that is about it.

    Samples go by their numbers in ``sample`` (and in the picture of ``ganvas sample``: row by row, from 0 on) under the
    same seed, condition and sampler. A point is one sample's latents with its condition beside them, (D + K,).
    """

    name: str
    algorithm: Algorithm

    @abstractmethod
    def draw(self, number: int, condition: Any, seed: int | None, sampler: Sampler | None) -> Any: ...
    @abstractmethod
    def _drawing(self, seed: int | None, purpose: str) -> AbstractContextManager[torch.Generator]: ...
    @abstractmethod
    def _rows(self, number: int, condition: Any) -> Tensor: ...

    def interpolate(
        self,
        number: int = 8,
        steps: int = 9,
        *,
        start: Sequence[int] | None = None,
        end: Sequence[int] | None = None,
        condition: Any = None,
        to_condition: Any = None,
        seed: int | None = None,
        sampler: Sampler | None = None,
    ) -> Preview:
        """The ways from samples to others, each in a row whose first and last pictures are the two samples.

        Latents go as ``Latents.interpolate`` says: on a sphere where their prior is normal, straight where it is
        uniform, each group by itself. Conditions go straight.

        Args:
            number: of rows, where ``start`` is not given.
            steps: pictures per row.
            start: numbers of the samples where the ways begin; the first ones if not given.
            end: of those where they end; one will do for all, as for ``start``. If not given, those that follow upon
                ``start``; with ``to_condition`` the same as ``start``, so that only the condition changes.
            condition: of both ends, as for ``sample``.
            to_condition: the condition at the ends of all ways.
            seed, sampler: as for ``sample``.

        Returns:
            A row of ``steps`` images for each way.

        Raises:
            ValueError: the stage has no generator or no such condition, or there are no such samples.
        """
        if steps < 2:
            raise ValueError(f"a way has 2 steps at least, its ends; not {steps}")
        space = self._space()
        first = list(range(number)) if start is None else list(start)
        if end is not None:
            last = list(end)
        elif to_condition is not None:
            last = first
        else:
            last = [1 + max(first, default=0) + place for place in range(len(first))]
        length = max(len(first), len(last))
        if {len(first), len(last)} - {1, length}:
            raise ValueError(f"{len(first)} samples to start from and {len(last)} to end at; name one, or as many")
        first, last = (numbers * length if len(numbers) == 1 else numbers for numbers in (first, last))
        begins, ends = self._points([*first, *last], condition, seed, sampler).split(length)
        if to_condition is not None:
            rows = self._rows(length, to_condition)
            ends = torch.cat([ends[:, : space.slice(CONDITION).start], rows.flatten(1)], dim=1)
        ways = space.interpolate(begins, ends, torch.linspace(0, 1, steps))
        shown = [f"from sample {a} to sample {b}" for a, b in zip(first, last, strict=True)]
        return Preview(self._images(ways.flatten(0, 1), seed, sampler), steps, rows=shown)

    def arithmetic(
        self,
        plus: Sequence[Any],
        minus: Sequence[Any] = (),
        *,
        neighbours: int = 8,
        noise: float = 0.25,
        condition: Any = None,
        seed: int | None = None,
        sampler: Sampler | None = None,
    ) -> Preview:
        """Concepts added and subtracted, each of them the mean of a few samples that show it.

            z = Σ mean(z of plus) - Σ mean(z of minus),    its neighbours z + u,  u uniform in [-``noise``, ``noise``]

        and the conditions likewise, but without u. The latents of a single sample carry too much besides the concept; a
        mean of k has a k-th of their variance, so a - b + c of three each is spread like the prior.

        Args:
            plus, minus: the concepts. One is the number of a sample, a list of such, or a mapping: ``samples`` (the
                first if left out), with a ``condition`` or a ``seed`` of their own.
            neighbours: how many are shown around the result.
            noise: how far they lie from it at most, in each number of the latents.
            condition, seed, sampler: as for ``sample``.

        Returns:
            A row for each concept, its samples and in the last column what their mean gives; then the result, followed
            by its neighbours. What is left over is black.

        Raises:
            ValueError: the stage has no generator or no such condition, or a concept is none.

        Source: Radford, Metz & Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks", 2016, section 6.3.2.
        """
        size = self._prior().size
        if not plus:
            raise ValueError("there is nothing to add; name the samples of a concept with plus")
        if neighbours < 0 or noise < 0:
            raise ValueError("neighbours and noise must not be negative")
        concepts = [("plus", Concept.of(value)) for value in plus] + [("minus", Concept.of(value)) for value in minus]
        groups: list[Tensor] = []
        result: Any = 0
        for sign, concept in concepts:
            points = self._points(
                concept.samples,
                condition if concept.condition is None else concept.condition,
                seed if concept.seed is None else concept.seed,
                sampler,
            )
            mean = points.double().mean(0, keepdim=True)
            result = result + mean if sign == "plus" else result - mean
            groups.append(torch.cat([points, mean.to(points)]))
        around = result.to(groups[0]).repeat(1 + neighbours, 1)
        with self._drawing(seed, "arithmetic") as rng:
            around[1:, :size] += (2 * torch.rand(neighbours, size, generator=rng, device=rng.device) - 1) * noise
        *shown, last = self._images(torch.cat([*groups, around]), seed, sampler).split([*map(len, groups), len(around)])
        columns = max(len(images) for images in shown)
        black = torch.full_like(last[:1], -1)
        cells = [last, *[black] * (-len(last) % columns)]
        for images in reversed(shown):
            cells = [images[:-1], *[black] * (columns - len(images)), images[-1:], *cells]
        rows = [f"{sign} {concept}, and the mean" for sign, concept in concepts]
        rows.append("the result, and its neighbours" if neighbours else "the result")
        rows += ["more neighbours"] * ((len(last) - 1) // columns)
        return Preview(torch.cat(cells), columns, rows=rows)

    def traverse(
        self,
        groups: Sequence[str] | None = None,
        axes: Sequence[int] | None = None,
        *,
        sample: int = 0,
        steps: int = 9,
        span: float | None = None,
        condition: Any = None,
        seed: int | None = None,
        sampler: Sampler | None = None,
    ) -> Preview:
        """One sample, with another number of its latents or of its condition moved in each row, and the others held.

        The middle column is the sample as it is. From its own value a number goes down to -``span`` on the left and up
        to ``span`` on the right, in steps that are equal on each side.

        Args:
            groups: of latents, by name, and ``condition`` for the numbers of the condition that say no class. If not
                given, all groups of at most 16 axes, and those numbers where there are at most 16 continuous ones; or,
                without any of these, the first 16 axes of the first group.
            axes: of each group, from 0 on; all if not given.
            sample: number of the sample.
            steps: pictures per row, an odd number.
            span: if not given, 4 for a normal prior (deviation 1), 1 for a uniform one (in [-1, 1]); for a condition,
                from the smallest to the largest value among 1000 that are drawn.
            condition, seed, sampler: as for ``sample``.

        Returns:
            A row of ``steps`` images for each axis.

        Raises:
            ValueError: the stage has no generator or no such condition, or there is no such group, axis or sample.
        """
        if steps < 3 or steps % 2 == 0:
            raise ValueError(f"steps must be odd, 3 or more: the sample itself stands in the middle; not {steps}")
        space = self._space()
        moved, rows = [], []
        point = self._points([sample], condition, seed, sampler)
        for group, chosen in self._axes(groups, axes).items():
            low, high = self._ends(group, span, seed)
            for axis in chosen:
                middle = float(point[0, space.slice(group).start + axis])
                down = torch.linspace(float(low[axis]), middle, steps // 2 + 1)
                up = torch.linspace(middle, float(high[axis]), steps // 2 + 1)
                moved.append(space.traverse(point, group, axis, [*down[:-1].tolist(), *up.tolist()]))
                rows.append(f"{group}, axis {axis}: from {low[axis]:.3g} over {middle:.3g} to {high[axis]:.3g}")
        return Preview(self._images(torch.cat(moved), seed, sampler), steps, rows=rows)

    def _prior(self) -> Latents:
        """The groups of the generator's latents. Raises ``ValueError`` where there are none."""
        if not hasattr(self.algorithm, "generate"):
            raise ValueError(
                f"the stage {self.name!r} ({self.algorithm.component_name}) has no generator with latents; "
                "choose a stage that has one"
            )
        generator: Any = self.algorithm.products()["generator"]
        return generator.latents

    def _space(self) -> Latents:
        """Where points lie: the groups of latents, and the condition's numbers as one more, where ways are straight."""
        prior, own = self._prior(), getattr(self.algorithm, "condition", None)
        if own is None or own.shape is None:
            return prior
        size = torch.Size(own.shape).numel()
        return Latents({**prior.groups, CONDITION: size}, {**prior.priors, CONDITION: "uniform"})

    def _points(self, numbers: Sequence[int], condition: Any, seed: int | None, sampler: Sampler | None) -> Tensor:
        """The points (M, D + K) that those samples are made from."""
        if not numbers:
            raise ValueError("no sample is named; give the number of one at least, from 0 on")
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int):
                raise ValueError(f"{number!r} is no number of a sample; they count from 0 on")
            if not 0 <= number < MOST_SAMPLES:
                raise ValueError(f"there is no sample {number}; they go from 0 to {MOST_SAMPLES - 1}")
        latents, rows = self.draw(max(numbers) + 1, condition, seed, sampler)
        points = latents if rows is None else torch.cat([latents, rows.flatten(1).to(latents)], dim=1)
        return points[list(numbers)]

    def _images(self, points: Tensor, seed: int | None, sampler: Sampler | None) -> Tensor:
        """Points (N, D + K) -> their images (N, C, H, W), as the sampler makes them."""
        algorithm: Any = self.algorithm
        latents, rows = points.tensor_split([self._prior().size], dim=1)
        with self._drawing(seed, "sample"):
            rows = rows.unflatten(1, algorithm.condition.shape) if rows.numel() else None
            return (algorithm if sampler is None else sampler).generate(latents, rows)

    def _axes(self, groups: Sequence[str] | None, axes: Sequence[int] | None) -> dict[str, list[int]]:
        """The axes to be traversed, by group."""
        prior, own = self._prior(), getattr(self.algorithm, "condition", None)
        known = {name: list(range(size)) for name, size in prior.groups.items()}
        usual = dict(known)
        if own is not None and own.shape is not None:
            known |= {CONDITION: own.numbers("continuous", "binary")}
            usual |= {CONDITION: own.numbers("continuous")}
        if groups is None:
            first = next(iter(prior.groups))
            chosen = {name: numbers for name, numbers in usual.items() if 0 < len(numbers) <= MOST_AXES}
            chosen = chosen or {first: known[first] if axes is not None else known[first][:MOST_AXES]}
        else:
            for name in groups:
                if name not in known:
                    raise ValueError(f"there is no group of latents {name!r}{did_you_mean(name, list(known))}")
                if not known[name]:
                    raise ValueError(
                        "the condition is a class, which has no numbers to move; "
                        "interpolate goes from one class to another (condition, to_condition)"
                    )
            chosen = {name: known[name] for name in groups}
        for name in chosen:
            for axis in axes or ():
                if axis not in known[name]:
                    raise ValueError(f"{name} has no axis {axis}; its axes are {_ranges(known[name])}")
        return {name: list(axes) if axes else numbers for name, numbers in chosen.items()}

    def _ends(self, group: str, span: float | None, seed: int | None) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of each axis of a group."""
        size = self._space().groups[group]
        if span is None and group == CONDITION:
            with self._drawing(seed, "traverse") as rng:
                drawn: Tensor = self.algorithm.condition.sample(DRAWN, rng).flatten(1)  # type: ignore[union-attr]
            return drawn.amin(0), drawn.amax(0)
        end = torch.full((size,), self._prior().reach(group) if span is None else span)
        return -end, end


@dataclass(frozen=True)
class Concept:
    """Samples whose mean stands for what they have in common.

    Attributes:
        samples: their numbers.
        condition, seed: that they are drawn under; None is what holds for all concepts.
    """

    samples: Sequence[int] = (0,)
    condition: Any = None
    seed: int | None = None

    @classmethod
    def of(cls, value: Any) -> Concept:
        """What a user writes for a concept. Raises ``ValueError``."""
        if isinstance(value, Concept):
            return value
        if not isinstance(value, Mapping):
            return cls(tuple(value) if isinstance(value, list | tuple | range) else (value,))
        names = list(cls.__dataclass_fields__)
        for name in value:
            if name not in names:
                raise ValueError(f"a concept has no {name!r}{did_you_mean(name, names)}")
        if not isinstance(value.get("seed", 0), int):
            raise ValueError(f"the seed of a concept is a whole number, not {value['seed']!r}")
        return cls(**{**value, "samples": cls.of(value.get("samples", 0)).samples})

    def __str__(self) -> str:
        given = {"condition": self.condition, "seed": self.seed}
        own = [f"{name} {value}" for name, value in given.items() if value is not None]
        samples = f"sample{'s' if len(self.samples) > 1 else ''} {', '.join(map(str, self.samples))}"
        return f"{samples} ({', '.join(own)})" if own else samples


def _ranges(numbers: Sequence[int]) -> str:
    """``0 to 5``; or the numbers one by one, where some are missing."""
    if len(numbers) > 1 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
