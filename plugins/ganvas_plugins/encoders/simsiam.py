"""Encoder ``simsiam``: two views, a predictor, and a gradient that is stopped."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, Encoder, Terms
from ganvas_plugins.encoders.parts import full_precision, needs_others, perceptron


@full_precision
def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """D(p, z) = -cos(p, z), mean over the batch; z is a constant.

    Args:
        prediction: (N, D), the predictions p.
        target: (N, D), the projections z of the other view; no gradient reaches them.

    Source: Chen & He, "Exploring Simple Siamese Representation Learning", 2021, equations 1 and 3.
    """
    return -F.cosine_similarity(prediction, target.detach(), dim=1).mean()


class Simsiam(Encoder):
    """SimSiam: each view's prediction shall point where the other view's projection does, which stays where it is.

    With backbone f, projector g and predictor h, z_i = g(f(v_i)) and p_i = h(z_i)::

        L = D(p_1, stopgrad(z_2)) / 2 + D(p_2, stopgrad(z_1)) / 2,   D = -cos

    BYOL without the target network: stopping the gradient is what keeps the features from collapsing.

    The projector is three linear layers, each with batch norm (the last without scale and shift), ReLU in between; the
    predictor is a bottleneck. By default the projection is as wide as the features and the bottleneck a quarter of it
    (of a ResNet-50 2048 and 512, the paper's). The paper trains with SGD of momentum 0.9.

    ``objective`` takes two views (N, C, H, W) in [-1, 1], N > 1; ``encode`` gives (N, F).

    Source: Chen & He, "Exploring Simple Siamese Representation Learning", 2021, section 3.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("simclr-views", "simclr-views")

    def __init__(
        self,
        backbone: Backbone,
        *,
        projection: Annotated[
            int | None, Field(gt=0, description="width of the projector's layers; that of the features if none")
        ] = None,
        bottleneck: Annotated[
            int | None, Field(gt=0, description="hidden width of the predictor; a quarter of the projection if none")
        ] = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features
        projection = projection or self.features
        self.projector = nn.Sequential(
            perceptron(self.features, projection, projection, projection, bias=False),
            nn.BatchNorm1d(projection, affine=False),
        )
        self.predictor = perceptron(projection, bottleneck or max(1, projection // 4), projection)

    def check_batch(self, size: int) -> None:
        needs_others(size, "the projector's batch norm compares the images of a batch")

    def objective(self, *views: Tensor) -> Terms:
        features = [self.backbone(view) for view in views]
        self.embeddings = torch.cat(features).detach()
        first, second = (self.projector(feature) for feature in features)
        one, other = negative_cosine(self.predictor(first), second), negative_cosine(self.predictor(second), first)
        return {"negative-cosine": (one + other) / 2}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
