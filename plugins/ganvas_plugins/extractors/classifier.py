"""Extractor ``classifier``: features of a network trained on the data's own labels."""

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Data, Extractor, Segment
from ganvas_plugins.extractors.judge import FEATURES, Judge, fit_classifier


class InDomainClassifier(Extractor):
    """The hidden layer, (N, 128), of a small convolutional network that learned the real images' labels.

    It knows digits or clothes where an ImageNet network knows animals, and needs no download. Numbers measured with it
    compare only within one data set. It is trained once per data set and image size (seconds to a minute) and kept in
    the cache folder; its accuracy on held-out real images is part of the protocol. The generator never sees it.

    Raises:
        ValueError: the data have neither labels nor attributes.

    Source: none; it is ganvas' own.
    """

    name = "classifier"
    features = FEATURES

    def __init__(
        self,
        *,
        training: Annotated[int, Field(gt=0, description="optimizer steps that train it, of 100 images each")] = 500,
        seed: Annotated[int, Field(ge=0, description="of its weights, batches and split")] = 0,
    ) -> None:
        super().__init__()
        self.training_steps = training
        self.seed = seed
        self.judge: Judge | None = None

    def check(self, data: Data) -> None:
        """Raises ValueError where the data have nothing to learn; else it knows how many classes there are."""
        if not _has_labels(data) and not _has_attributes(data):
            raise ValueError(
                "the classifier extractor needs labelled data, and these have neither labels nor attributes; "
                "use the extractor efficientnet-lite0 or inception"
            )
        self.classes = len(data.classes) if _has_labels(data) else 0  # attributes are no classes

    def prepare(self, data: Data, rng: torch.Generator | None = None) -> None:
        """Trains the network on the data, or takes it from the cache; ``rng`` is not used, the option ``seed`` is."""
        self.check(data)
        if self.judge is not None and self.judge.protocol["data"] == data.identity:
            return
        if _has_labels(data):
            classes = len(data.classes)

            def targets_of(batch):
                return F.one_hot(batch["labels"].long(), classes)

            segments = [Segment("one-hot", classes)]
        else:

            def targets_of(batch):
                return batch["attributes"] > 0

            segments = [Segment("binary", len(data.attributes))]
        self.judge = fit_classifier(data, targets_of, segments, steps=self.training_steps, seed=self.seed)
        self.network = self.judge.network
        self.shape = tuple(data.shape)

    @property
    def accuracy(self) -> float:
        """On held-out real images."""
        return self._prepared().accuracy

    @property
    def protocol(self) -> dict[str, Any]:
        known = {} if self.judge is None else {"accuracy": self.judge.accuracy, "judge": dict(self.judge.protocol)}
        return {"extractor": self.name, "training": self.training_steps, "seed": self.seed, **known}

    def forward(self, images: Tensor) -> Tensor:
        self._prepared()
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"it was trained on images of {self.shape}, these are {tuple(images.shape[1:])}")
        return self.network.embed(images)

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, 128) -> logits (N, K) of the data's classes."""
        self._prepared()
        return self.network.head(features)

    def _prepared(self) -> Judge:
        if self.judge is None:
            raise RuntimeError("the classifier extractor must see the data first: call prepare(data)")
        return self.judge


def _has_labels(data: Data) -> bool:
    return "labels" in data.fields and len(data.classes) > 0


def _has_attributes(data: Data) -> bool:
    return "attributes" in data.fields and len(data.attributes) > 0
