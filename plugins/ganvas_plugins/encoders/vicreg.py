"""Encoder ``vicreg``: invariance, with variance and covariance terms against collapse."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Backbone, Encoder, Terms, gather
from ganvas_plugins.encoders.parts import full_precision, needs_others, perceptron


@full_precision
def invariance(first: Tensor, second: Tensor) -> Tensor:
    """s(Z, Z') = mean_b ||z_b - z'_b||^2 / D, of (N, D) and (N, D) (equation 5; the authors divide by D)."""
    return F.mse_loss(first, second)


@full_precision
def variance(first: Tensor, second: Tensor) -> Tensor:
    """v(Z) + v(Z'), v(Z) = mean_j max(0, 1 - sqrt(Var(z_j) + 1e-4)), of (N, D) and (N, D) (equations 1 and 2)."""
    first, second = (F.relu(1 - (part.var(0) + 1e-4).sqrt()).mean() for part in (first, second))
    return first + second


@full_precision
def covariance(first: Tensor, second: Tensor) -> Tensor:
    """c(Z) + c(Z'), c(Z) = sum_{i != j} Cov(Z)_ij^2 / D, of (N, D) and (N, D) (equations 3 and 4)."""
    return _redundancy(first) + _redundancy(second)


def _redundancy(embeddings: Tensor) -> Tensor:
    centred = embeddings - embeddings.mean(0)
    matrix = centred.T @ centred / (len(centred) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / matrix.shape[0]


class Vicreg(Encoder):
    """VICReg: the views agree, each dimension keeps its variance, and no two of them vary together.

    Of the embeddings Z = g(f(v)), Z' = g(f(v'))::

        L = lambda s(Z, Z')  +  mu (v(Z) + v(Z'))  +  nu (c(Z) + c(Z'))

    with s the ``invariance``, v the ``variance`` and c the ``covariance`` term. Variances and covariances divide by
    N - 1. (The authors' program takes the mean of the two variance terms where the paper has their sum:
    ``variance: 12.5`` gives that.)

    The projector is three linear layers with batch norm and ReLU in between. By default they are four times as wide as
    the features (of a ResNet-50 8192, the paper's). The paper trains with LARS.

    ``objective`` takes two views (N, C, H, W) in [-1, 1], N > 1; ``encode`` gives (N, F).

    Source: Bardes, Ponce & LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
    Learning", 2022, equations 1 to 6.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("simclr-views", "simclr-views")

    def __init__(
        self,
        backbone: Backbone,
        *,
        invariance: Annotated[float, Field(ge=0, description="lambda, the weight of the views' distance")] = 25.0,
        variance: Annotated[float, Field(ge=0, description="mu, the weight of the lacking deviation")] = 25.0,
        covariance: Annotated[float, Field(ge=0, description="nu, the weight of the covariances")] = 1.0,
        projection: Annotated[
            int | None, Field(gt=0, description="width of the embeddings; four times that of the features if none")
        ] = None,
        hidden: Annotated[
            int | None, Field(gt=0, description="hidden width of the projector; that of the embeddings if none")
        ] = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        projection = projection or 4 * self.features
        hidden = hidden or projection
        self.projector = perceptron(self.features, hidden, hidden, projection, bias=False)

    def check_batch(self, size: int) -> None:
        needs_others(size, "variance and covariance are those of a batch")

    def objective(self, *views: Tensor) -> Terms:
        features = [self.backbone(view) for view in views]
        self.embeddings = torch.cat(features).detach()
        first, second = (gather(self.projector(feature)) for feature in features)
        terms = {"invariance": invariance, "variance": variance, "covariance": covariance}
        return {name: self.weights[name] * term(first, second) for name, term in terms.items()}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
