"""Metric ``condition-accuracy``: is what is made from an image's condition of the class of that image?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Algorithm, Condition, Data, Extractor, Measurement, Metric, Stage, Use
from ganvas.kinds.data import evenly
from ganvas_plugins.metrics.comparison import features_of, fitting, known_classes, ready


class ConditionAccuracy(Metric):
    """Share of samples G(z, f(x)) that an independent classifier puts into the class of the real image x.

    f(x) is what the stage's condition makes of x: the features of an encoder (latent-space conditioning), a cluster, a
    label. The labels are used here only, the generator need not have seen any. In [0, 1], higher is better; a
    generator that ignores its condition scores 1/K with K classes of equal size, a perfect one as much as the
    classifier does on real images (``accuracy`` in the protocol of ``classifier``).

    Gives ``condition-accuracy@EXTRACTOR``.

    Raises:
        ValueError: the data have no labels, the stage's condition is none of a real image, or the extractor does not
            tell the data's classes apart.

    Source: Durall, Ho, Pfreundt & Keuper, "Latent Space Conditioning on Generative Adversarial Networks", 2020.
    """

    def __init__(
        self,
        data: Data,
        *,
        extractor: Annotated[Use[Extractor], Field(description="what tells the data's classes apart")] = "classifier",
        samples: Annotated[
            int, Field(ge=1, description="number of generated images, of real ones that are evenly spread")
        ] = 2000,
    ) -> None:
        super().__init__(data)
        if "labels" not in data.fields or not data.classes:
            given = ", ".join(data.fields)
            raise ValueError(f"condition-accuracy needs labels, and these data give {given}; use data with classes")
        self.extractor = fitting(extractor, data)
        known_classes("condition-accuracy", self.extractor)
        if self.extractor.classes != len(data.classes):
            raise ValueError(
                f"{self.extractor.name} tells {self.extractor.classes} classes apart, the data have "
                f"{len(data.classes)}; use the extractor classifier, or a stage that learned these labels"
            )
        self.samples = samples

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        condition: Condition | None = getattr(algorithm, "condition", None)
        if condition is None or condition.shape is None or not condition.observed:
            raise ValueError(
                "condition-accuracy needs a stage whose condition is made of real images; use latent, clusters or "
                "labels, or drop the metric"
            )

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": self.samples, **self.extractor.protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        self.check(stage.algorithm)
        ready(stage, self.extractor)
        rows, labels = [], []
        chosen = evenly(len(stage.data), self.samples)
        for batch in stage.data.batches(indices=chosen):
            rows.append(stage.algorithm.condition.of(batch))
            labels.append(batch["labels"].long())
        asked: Tensor = torch.cat(rows)
        images = stage.sample(len(asked), condition=asked, seed=stage.seed)
        found = self.extractor.logits(features_of(self.extractor, images, "generated")).argmax(1)
        right = (found == torch.cat(labels).to(found.device)).double().mean()
        return {f"condition-accuracy@{self.extractor.name}": Measurement(float(right), better="higher")}
