"""Metric ``inception-score``: are generated images of clear classes, and of all of them?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Extractor, Measurement, Metric, Stage, Use
from ganvas_plugins.metrics.comparison import fake_features, fitting, known_classes


class InceptionScore(Metric):
    """How far the class probabilities p(y|x) of a generated image x are from their mean p(y).

    IS = exp( E_x KL( p(y|x) || p(y) ) ),

    from 1 (all images look the same to the classifier) to the number of its classes (each image is clearly of one, all
    equally often); higher is better. It is computed in each of ``splits`` equal parts of the images; the value is their
    mean, the deviation that of the parts. No real image is looked at.

    ``inception-score@inception`` is the one that papers quote, mostly of 50,000 images. Any extractor that tells
    classes apart will do: the data's own (``classifier``) say more of digits.

    Gives ``inception-score@EXTRACTOR``.

    Raises:
        ValueError: the extractor tells no classes apart, or there are fewer images than parts.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016, section 4.
    """

    def __init__(
        self,
        data: Data,
        *,
        extractor: Annotated[Use[Extractor], Field(description="what tells the classes apart")] = "inception",
        samples: Annotated[int, Field(ge=2, description="number of generated images")] = 5000,
        splits: Annotated[int, Field(ge=1, description="parts of the images that are measured on their own")] = 10,
    ) -> None:
        super().__init__(data)
        self.extractor = fitting(extractor, data)
        known_classes("inception-score", self.extractor)
        if samples < splits:
            raise ValueError(f"{samples} images make no {splits} parts; raise samples or lower splits")
        self.samples, self.splits = samples, splits

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": self.samples, "splits": self.splits, **self.extractor.protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        logits = self.extractor.logits(fake_features(stage, self.extractor, self.samples))
        values = torch.stack([score(part) for part in logits.double().tensor_split(self.splits)])
        deviation = float(values.std(correction=0)) if self.splits > 1 else None
        label = f"inception-score@{self.extractor.name}"
        return {label: Measurement(float(values.mean()), better="higher", deviation=deviation)}


def score(logits: Tensor) -> Tensor:
    """exp E KL(p(y|x) || p(y)) of logits (N, K), as the exponent of H(p(y)) - E H(p(y|x)): a scalar."""
    given = torch.log_softmax(logits, dim=1)
    probabilities = given.exp()
    marginal = probabilities.mean(0)
    entropy = -torch.xlogy(marginal, marginal).sum()
    return (entropy + (probabilities * given).sum(1).mean()).exp()
