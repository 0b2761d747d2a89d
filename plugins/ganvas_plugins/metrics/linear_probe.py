"""Metric ``linear-probe``: can a linear classifier tell the classes from an encoder's features?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas_plugins.metrics.features import HeldOutEncoderMetric, check_labels, known_labels


class LinearProbe(HeldOutEncoderMetric):
    """Accuracy of multinomial logistic regression on frozen features, on held-out images.

    The features h of the training images are standardised (mean 0 and deviation 1 in each dimension), and

        min_{W, b}  -(1/n) sum_i log softmax(W h_i + b)_{y_i} + (l/2) |W|^2

    is solved in float64 by L-BFGS from zero. It is convex, so its solution depends on no seed (for l > 0). The held-out
    features are standardised with the training images' mean and deviation. In [0, 1], higher is better.

    Gives ``linear-probe``.

    Raises:
        ValueError: the data have no labels.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, appendix B.8
    (L2-regularised, by L-BFGS, on features of images that are not augmented).
    """

    def __init__(
        self,
        data: Data,
        *,
        weight_decay: Annotated[float, Field(ge=0, description="l, of the weights; the biases are free")] = 1e-3,
        iterations: Annotated[int, Field(ge=1, description="of L-BFGS at the most; it stops where it is done")] = 500,
        **split: Any,
    ) -> None:
        super().__init__(data, **split)
        check_labels("linear-probe", data)
        self.weight_decay = weight_decay
        self.iterations = iterations

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"weight decay": self.weight_decay, "iterations": self.iterations, **super().protocol}

    def measure(self, stage: Stage) -> dict[str, Measurement]:
        fitted, tested = self.parts(stage)
        mean, deviation = fitted.features.double().mean(0), fitted.features.double().std(0, correction=0)
        deviation = torch.where(deviation > 0, deviation, 1)  # a feature that never varies says nothing
        weights, biases = logistic_regression(
            (fitted.features - mean) / deviation,
            known_labels(fitted),
            classes=len(stage.data.classes),
            weight_decay=self.weight_decay,
            iterations=self.iterations,
        )
        predicted = ((tested.features - mean) / deviation @ weights + biases).argmax(1)
        right = predicted == known_labels(tested)
        return {"linear-probe": Measurement(float(right.double().mean()), better="higher")}


def logistic_regression(
    features: Tensor, labels: Tensor, *, classes: int, weight_decay: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Weights (F, K) and biases (K,) in float64 for features (N, F) and labels (N,)."""
    features = features.double()
    with torch.inference_mode(False), torch.enable_grad():
        weights = features.new_zeros(features.shape[1], classes).requires_grad_()
        biases = features.new_zeros(classes).requires_grad_()
        optimizer = torch.optim.LBFGS(
            [weights, biases],
            max_iter=iterations,
            history_size=20,
            tolerance_grad=1e-7,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            optimizer.zero_grad()
            error = F.cross_entropy(features @ weights + biases, labels)
            error = error + weight_decay / 2 * weights.square().sum()
            error.backward()
            return error

        optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    return weights.detach(), biases.detach()
