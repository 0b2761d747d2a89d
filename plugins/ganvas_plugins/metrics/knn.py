"""Metric ``knn``: do images of a class lie together in an encoder's feature space?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas_plugins.metrics.features import HeldOutEncoderMetric, check_labels, known_labels

BATCH = 256


class Knn(HeldOutEncoderMetric):
    """Accuracy of a weighted vote among the k nearest training images, on held-out ones.

    With s_i the cosine of the angle between the features of a held-out image and of training image i, and N_k the k
    training images with the largest s_i, the prediction is

        argmax_c  sum_{i in N_k} exp(s_i / t) 1[y_i = c].

    In [0, 1], higher is better; chance is 1/K for K classes of equal size. Nothing is trained. The features are the
    encoder's of the stage, of images that are not augmented.

    Gives ``knn``.

    Raises:
        ValueError: the data have no labels, or fewer than k images are there to vote.

    Source: Wu, Xiong, Yu & Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", 2018,
    section 3.4.
    """

    def __init__(
        self,
        data: Data,
        *,
        k: Annotated[int, Field(ge=1, description="training images that vote")] = 200,
        temperature: Annotated[
            float, Field(gt=0, description="t: the smaller, the more the nearest ones count")
        ] = 0.07,
        **split: Any,
    ) -> None:
        super().__init__(data, **split)
        check_labels("knn", data)
        self.k = k
        self.temperature = temperature

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"k": self.k, "temperature": self.temperature, **super().protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        fitted, tested = self.parts(stage)
        if self.k > len(fitted.features):
            raise ValueError(f"{len(fitted.features)} training images are fewer than k = {self.k}; lower k")
        predicted = vote(
            fitted.features,
            known_labels(fitted),
            tested.features,
            classes=len(stage.data.classes),
            k=self.k,
            temperature=self.temperature,
        )
        right = predicted == known_labels(tested)
        return {"knn": Measurement(float(right.double().mean()), better="higher")}


def vote(known: Tensor, labels: Tensor, asked: Tensor, *, classes: int, k: int, temperature: float) -> Tensor:
    """The classes (M,) that the k nearest of ``known`` (N, F), with ``labels`` (N,), give to ``asked`` (M, F)."""
    known = F.normalize(known.double(), dim=1)
    found = []
    for part in asked.split(BATCH):
        similarity, nearest = (F.normalize(part.double(), dim=1) @ known.T).topk(k, dim=1)
        # Relative to the nearest one, so that a small temperature does not overflow; the winner is the same.
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        votes = weights.new_zeros(len(part), classes).scatter_add_(1, labels[nearest], weights)
        found.append(votes.argmax(1))
    return torch.cat(found)
