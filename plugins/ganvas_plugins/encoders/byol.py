"""Encoder ``byol``: predicts the target network's projection of the other view."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, Encoder, Progress, Scheduled, Terms
from ganvas_plugins.encoders.parts import Target, full_precision, needs_others, perceptron


@full_precision
def regression(prediction: Tensor, target: Tensor) -> Tensor:
    """The squared distance of the normalised vectors: 2 - 2 cos(q, z'), mean over the batch.

    Args:
        prediction: (N, D), the predictions q.
        target: (N, D), the target network's projections z'.

    Source: Grill et al., "Bootstrap Your Own Latent", 2020, equation 2.
    """
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=1).mean()


class Byol(Encoder):
    """BYOL: the online network predicts what a slowly moving copy of it, the target network, makes of the other view.

    Of the views v and v', with backbone f, projector g and predictor q (weights theta) and a target network f', g'
    (weights xi)::

        z = g(f(v)),  z' = g'(f'(v'))
        L = 2 - 2 cos(q(z), z')  +  the same with the views swapped
        xi <- m xi + (1 - m) theta           after each step; no gradient reaches the target network

    There are no negatives: the predictor and the slow target keep the features from collapsing. By default m rises from
    0.996 to one along a cosine, as in the paper.

    Projector and predictor are linear, batch norm, ReLU, linear. By default the hidden width is twice the features' (of
    a ResNet-50 4096, the paper's) and the projection 256.

    ``objective`` takes two views (N, C, H, W) in [-1, 1], N > 1; ``encode`` gives (N, F), the online network's.

    Source: Grill et al., "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", 2020, section 3.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("simclr-views", "simclr-views")

    def __init__(
        self,
        backbone: Backbone,
        *,
        momentum: Annotated[
            Scheduled, Field(ge=0, le=1, description="share of its weights that the target keeps in a step")
        ] = Scheduled(0.996, 1.0, "cosine"),  # noqa: B008
        projection: Annotated[int, Field(gt=0, description="width of the projections that are compared")] = 256,
        hidden: Annotated[
            int | None,
            Field(gt=0, description="hidden width of projector and predictor; twice that of the features if none"),
        ] = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features
        self.momentum = Scheduled.of(momentum)
        hidden = hidden or 2 * self.features
        self.projector = perceptron(self.features, hidden, projection, bias=False)
        self.predictor = perceptron(projection, hidden, projection, bias=False)
        self.target = Target(nn.Sequential(self.backbone, self.projector))

    def check_batch(self, size: int) -> None:
        needs_others(size, "the projector's batch norm compares the images of a batch")

    def objective(self, *views: Tensor) -> Terms:
        features = [self.backbone(view) for view in views]
        self.embeddings = torch.cat(features).detach()
        first, second = (self.predictor(self.projector(feature)) for feature in features)
        first_target, second_target = (self.target(view) for view in views)
        return {"regression": regression(first, second_target) + regression(second, first_target)}

    def after_update(self, progress: Progress) -> None:
        self.target.follow(nn.Sequential(self.backbone, self.projector), self.momentum.at(progress))

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
