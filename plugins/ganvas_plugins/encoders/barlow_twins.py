"""Encoder ``barlow-twins``: makes the cross-correlation of two views the identity."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Backbone, Encoder, Terms, gather
from ganvas_plugins.encoders.parts import full_precision, needs_others, perceptron


@full_precision
def cross_correlation(first: Tensor, second: Tensor) -> Tensor:
    """C_ij = sum_b z_bi z'_bj / sqrt(sum_b z_bi^2 sum_b z'_bj^2), z centred along the batch: (D, D), in [-1, 1].

    Args:
        first: (N, D), embeddings of the first views.
        second: (N, D), of the second views, in the same order.

    Source: Zbontar et al., "Barlow Twins", 2021, equation 2; its epsilon is batch norm's, 1e-5 beside the variance.
    """
    first, second = (F.batch_norm(part, None, None, training=True) for part in (first, second))
    return first.T @ second / len(first)


class BarlowTwins(Encoder):
    """Barlow Twins: each dimension agrees between the views and says nothing that another one says.

    Of the embeddings z = g(f(v)), z' = g(f(v')) with the cross-correlation C along the batch (``cross_correlation``)::

        L = sum_i (1 - C_ii)^2  +  lambda sum_i sum_{j != i} C_ij^2

    The terms are ``invariance`` and ``redundancy``. The projector is three linear layers without bias, with batch norm
    and ReLU in between. By default they are four times as wide as the features (of a ResNet-50 8192, the paper's); the
    wider, the better, says the paper. It trains with LARS.

    ``objective`` takes two views (N, C, H, W) in [-1, 1], N > 1; ``encode`` gives (N, F).

    Source: Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", 2021, equation 1.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = (
        {"use": "byol-views", "view": "first"},
        {"use": "byol-views", "view": "second"},
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        redundancy: Annotated[
            float, Field(ge=0, description="lambda, the weight of what two dimensions have in common")
        ] = 5e-3,
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
        self.redundancy = redundancy
        projection = projection or 4 * self.features
        hidden = hidden or projection
        self.projector = perceptron(self.features, hidden, hidden, projection, bias=False)

    def check_batch(self, size: int) -> None:
        needs_others(size, "the correlation is along the batch")

    def objective(self, *views: Tensor) -> Terms:
        features = [self.backbone(view) for view in views]
        self.embeddings = torch.cat(features).detach()
        correlation = cross_correlation(*(gather(self.projector(feature)) for feature in features))
        diagonal = correlation.diagonal()
        return {
            "invariance": (1 - diagonal).square().sum(),
            "redundancy": self.redundancy * (correlation.square().sum() - diagonal.square().sum()),
        }

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
