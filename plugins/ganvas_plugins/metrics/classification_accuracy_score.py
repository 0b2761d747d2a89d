"""Metric ``classification-accuracy-score``: how good a classifier can be had from samples alone?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Algorithm, Condition, Data, Measurement, Stage
from ganvas.kinds.data import evenly
from ganvas_plugins.extractors.cache import cached
from ganvas_plugins.extractors.judge import VERSION, accuracy, digest, stored, train
from ganvas_plugins.metrics.attribute_accuracy import class_condition
from ganvas_plugins.metrics.held_out import HeldOutMetric

BATCH = 256


class ClassificationAccuracyScore(HeldOutMetric):
    """Accuracy on real images of a classifier that was trained on samples only.

        CAS = P( argmax_c p(c | x) = y ),    p trained on (G(z, y'), y'),  y' drawn from the condition's prior,

    for real images x of class y that the classifier never saw. A generator can only score high if its samples look
    like what they were asked for and differ as much as real images of their class do: one that draws a single good
    picture of each class has a high ``attribute-accuracy`` and a low score here. In [0, 1], higher is better; chance is
    1/K. The same classifier trained on as many real images, where there are as many, is the one to compare with: its
    accuracy on the same images is in the protocol (``accuracy after real images``), and it is kept in the cache folder.

    The classes are those of the stage's condition, labels or clusters. The classifier is the small convolutional
    network that also judges elsewhere (the paper's is a ResNet-50), trained for ``training`` steps of 100 images.

    Gives ``classification-accuracy-score@classifier``.

    Raises:
        ValueError: the condition is not one class per image.

    Source: Ravuri & Vinyals, "Classification Accuracy Score for Conditional Generative Models", 2019, section 3.
    """

    def __init__(
        self,
        data: Data,
        *,
        samples: Annotated[int, Field(ge=2, description="generated images that it is trained on")] = 5000,
        training: Annotated[int, Field(gt=0, description="optimizer steps that train it, of 100 images each")] = 500,
        seed: Annotated[int, Field(ge=0, description="draws the share, and the classifier's weights and batches")] = 0,
        **split: Any,
    ) -> None:
        super().__init__(data, seed=seed, **split)
        self.samples, self.training_steps = samples, training
        self._reference: dict[str, Any] = {}

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        class_condition("classification-accuracy-score", algorithm)

    @property
    def protocol(self) -> Mapping[str, Any]:
        known = {"samples": self.samples, "training": self.training_steps, "seed": self.seed, "classifier": VERSION}
        return {**known, **super().protocol, **self._reference}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        condition = class_condition("classification-accuracy-score", stage.algorithm)
        real, tested = self._real(stage, condition)
        made, rows = stage.fakes(self.samples)
        assert rows is not None  # a class per image can be drawn
        fake = torch.cat([stored(part.to(stage.device)) for part in made.split(BATCH)]), rows.to(stage.device)
        key = {
            "data": stage.data.identity,
            "shape": list(stage.data.shape),
            "targets": [digest(real[1]), digest(tested[1])],
            "options": [VERSION, self.training_steps, self.seed],
            **super().protocol,
        }
        kept = cached("classification-accuracy", key, lambda: {"accuracy": self._score(real, tested, condition)})
        self._reference = {"real images": len(real[0]), "accuracy after real images": float(kept["accuracy"])}
        value = float(self._score(fake, tested, condition))
        return {"classification-accuracy-score@classifier": Measurement(value, better="higher")}

    def _score(self, fitted: tuple[Tensor, Tensor], tested: tuple[Tensor, Tensor], condition: Condition) -> Tensor:
        network = train(*fitted, condition.segments, steps=self.training_steps, seed=self.seed)
        return accuracy(network, *tested, condition.segments)

    def _real(self, stage: Stage, condition: Condition) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Images and their classes: as many as there are samples, to be trained on, and those that are tested on."""
        held = stage.data.held_out()
        if held is not None:
            fitted = torch.arange(len(stage.data), device="cpu")
            tested = _known(held, torch.arange(len(held), device="cpu"), condition)
        else:
            fitted, chosen = self.drawn(len(stage.data))
            tested = _known(stage.data, chosen, condition)
        return _known(stage.data, fitted[evenly(len(fitted), self.samples)], condition), tested


def _known(data: Data, indices: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
    """Images as the classifier sees them, and their classes as one-hot rows."""
    images, targets = [], []
    for batch in data.batches(BATCH, indices=indices):
        images.append(stored(batch["images"]))
        targets.append(condition.of(batch))
    return torch.cat(images), torch.cat(targets)
