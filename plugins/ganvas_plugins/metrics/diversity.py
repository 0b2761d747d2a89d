"""Metric ``diversity``: do samples of one class differ as much as real images of it do?"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Condition, Data, Measurement, Metric, Stage
from ganvas_plugins.metrics.attribute_accuracy import balanced

BATCH = 256


class Diversity(Metric):
    """Standard deviation of the pixels within a class, generated over real.

    With x_p^i the value of pixel p (each channel on its own) in image i of class c, and n_c images of that class,

        s_c = mean_p sqrt( sum_i (x_p^i - mean_i x_p^i)^2 / (n_c - 1) ),   S = mean_c s_c,
        diversity = S_fake / S_real.

    1 for samples as varied as the data, 0 where each class has one picture (mode collapse); noise can take it above 1,
    so it is read together with a measure of quality. Classes are those of the stage's condition, where it is one class
    per image; attributes and unconditional stages count as a single class. Classes with fewer than two images, real or
    generated, are left out of both means.

    Gives ``diversity``.

    Source: none; it is ganvas' own.
    """

    def __init__(
        self,
        data: Data,
        *,
        samples: Annotated[int, Field(ge=2, description="number of generated images")] = 2000,
    ) -> None:
        super().__init__(data)
        self.samples = samples

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": self.samples, "real": "all"}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        condition = getattr(stage.algorithm, "condition", None)
        segments = [] if condition is None else condition.segments
        single = len(segments) == 1 and segments[0].kind == "one-hot"
        classes = segments[0].size if single else 1
        if condition is None or condition.shape is None:
            requested = None
        else:
            requested = balanced(condition, self.samples, stage)
        fakes = stage.sample(self.samples, condition=requested, seed=stage.seed)
        labels = requested.argmax(1) if single and requested is not None else None
        fake = deviations(_parts(fakes, labels), classes)
        real = deviations(_real(stage.data, condition if single else None), classes)
        both = ~(fake.isnan() | real.isnan())
        if not both.any():
            raise ValueError("diversity needs two images of some class, generated and real; raise samples")
        ratio = fake[both].mean() / real[both].mean()
        return {"diversity": Measurement(float(ratio), better="higher")}


def deviations(parts: Iterator[tuple[Tensor, Tensor]], classes: int) -> Tensor:
    """s_c of each class, (classes,) in float64; NaN for a class with fewer than two images."""
    number = total = squares = torch.zeros(())
    for index, (images, labels) in enumerate(parts):
        flat = images.flatten(1).double()
        if index == 0:
            total = flat.new_zeros(classes, flat.shape[1])
            squares, number = total.clone(), flat.new_zeros(classes, 1)
        labels = labels.to(flat.device)
        number.index_add_(0, labels, torch.ones_like(flat[:, :1]))
        total.index_add_(0, labels, flat)
        squares.index_add_(0, labels, flat.square())
    variance = (squares - total.square() / number).clamp(min=0) / (number - 1)
    return torch.where(number > 1, variance, torch.nan).sqrt().mean(1).cpu()


def _parts(images: Tensor, labels: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    if labels is None:
        labels = torch.zeros(len(images), dtype=torch.long)
    yield from zip(images.split(BATCH), labels.split(BATCH), strict=True)


def _real(data: Data, condition: Condition | None) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in data.batches(BATCH):
        images = batch["images"]
        of = None if condition is None else condition.of(batch)
        yield images, torch.zeros(len(images), dtype=torch.long) if of is None else of.argmax(1)
