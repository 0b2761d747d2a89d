"""Metric ``attribute-accuracy``: does a sample show what it was asked to show?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Algorithm, Condition, Data, Measurement, Metric, Stage
from ganvas_plugins.classifiers.targets import check_targets, recovered
from ganvas_plugins.extractors.judge import Judge, fit_classifier

BATCH = 256


class AttributeAccuracy(Metric):
    """Share of samples in which an independent judge finds the requested condition.

    For classes: the share of samples that the judge puts into the requested class, over the same number of samples of
    each class. For attributes: the share of attributes that it finds as requested (logit above zero), over conditions
    drawn from the prior. In [0, 1], higher is better; a generator that ignores its condition scores 1/K with K classes.

    The judge is a small convolutional network trained on the real images with the stage's condition as target (their
    labels, or the clusters of an encoder). It takes no part in training the generator. What it scores on held-out real
    images (``judge accuracy`` in the protocol) is what a perfect generator would score.

    Gives ``attribute-accuracy@classifier``.

    Raises:
        ValueError: the stage has no condition, or a continuous one.

    Source: Kinakh et al., "Information-theoretic stochastic contrastive conditional GAN: InfoSCC-GAN", 2021, section 4
    (there with the classifier that also trained the generator).
    """

    def __init__(
        self,
        data: Data,
        *,
        samples: Annotated[int, Field(gt=0, description="number of generated images")] = 2000,
        training: Annotated[int, Field(gt=0, description="optimizer steps that train the judge")] = 500,
        seed: Annotated[int, Field(ge=0, description="of the judge's weights, batches and split")] = 0,
    ) -> None:
        super().__init__(data)
        self.samples = samples
        self.training_steps = training
        self.seed = seed
        self.judge: Judge | None = None

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        condition = getattr(algorithm, "condition", None)
        if condition is None or condition.shape is None:
            raise ValueError("attribute-accuracy needs a stage with a condition; give it one or drop the metric")
        check_targets(condition)

    @property
    def protocol(self) -> Mapping[str, Any]:
        known: dict[str, Any] = {}
        if self.judge is not None:
            known = {"judge accuracy": self.judge.accuracy, "judge": dict(self.judge.protocol)}
        return {"samples": self.samples, "training": self.training_steps, "seed": self.seed, **known}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        self.check(stage.algorithm)
        condition = stage.algorithm.condition
        self.judge = fit_classifier(
            stage.data, condition.of, condition.segments, steps=self.training_steps, seed=self.seed
        )
        requested = balanced(condition, self.samples, stage)
        images = stage.sample(self.samples, condition=requested, seed=stage.seed)
        network = self.judge.network.to(stage.device)
        logits = torch.cat([network(part.to(stage.device)) for part in images.split(BATCH)])
        value = recovered(logits, requested.to(logits.device), condition.segments).double().mean()
        return {"attribute-accuracy@classifier": Measurement(float(value), better="higher")}


def class_condition(metric: str, algorithm: Algorithm) -> Condition:
    """The stage's condition; raises ``ValueError`` where it is not one class per image, known of real ones."""
    condition: Condition | None = getattr(algorithm, "condition", None)
    single = condition is not None and [segment.kind for segment in condition.segments] == ["one-hot"]
    if condition is None or not single or not condition.observed:
        raise ValueError(
            f"{metric} needs a stage whose condition is one class per image; use labels or clusters, or measure fid"
        )
    return condition


def balanced(condition: Condition, number: int, stage: Stage) -> Tensor:
    """(number, K): each class in turn, or, for conditions that are more than one class, drawn from the prior."""
    segments = condition.segments
    if len(segments) == 1 and segments[0].kind == "one-hot":
        classes = torch.arange(number, device=stage.device) % segments[0].size
        return F.one_hot(classes, segments[0].size).float()
    rows = condition.sample(number, torch.Generator(stage.device).manual_seed(stage.seed))
    if rows is None:
        raise ValueError("this condition draws no samples; use labels or clusters")
    return rows
