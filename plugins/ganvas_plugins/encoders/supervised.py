"""Encoder ``supervised``: learns the labels, as the reference that methods without labels are held against."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, Condition, Data, Encoder, Terms, Use
from ganvas_plugins.classifiers.targets import check_targets, classification_loss
from ganvas_plugins.encoders.parts import check_backbone


class Supervised(Encoder):
    """What features could be if the labels were known: a linear layer of them predicts the labels of one view.

    L = CE(W f(v) + b, y) for classes y, BCE(sigmoid(W f(v) + b), y) for attributes y; the term is ``classification``.

    ``objective`` takes one view (N, C, H, W) in [-1, 1] and the labels; ``encode`` gives (N, F).

    Raises:
        ValueError: the data have nothing to learn, or the condition is continuous.

    Source: Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 3.5.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ({"use": "simclr-views", "scale": [0.5, 1.0]},)

    def __init__(
        self,
        backbone: Backbone,
        data: Data,
        *,
        condition: Annotated[Use[Condition], Field(description="what it learns")] = "labels",  # type: ignore[assignment]
        smoothing: Annotated[
            float, Field(ge=0, lt=1, description="share of a class's probability that all of them share")
        ] = 0.0,
    ) -> None:
        super().__init__()
        self.shape = data.shape
        self.backbone = backbone
        self.features = backbone.features
        self.smoothing = smoothing
        self.condition = condition(data)
        check_targets(self.condition)
        self.needs = self.condition.needs | {"images"}
        self.head = nn.Linear(self.features, self.condition.shape[0])

    def check_batch(self, size: int) -> None:
        if size == 1:
            check_backbone(self.backbone, (1, *self.shape), "set batch_size to 2 or more")

    def objective(self, *views: Tensor, **fields: Tensor) -> Terms:
        (view,) = views
        features = self.backbone(view)
        self.embeddings = features.detach()
        targets = self.condition.of(fields)
        loss = classification_loss(self.head(features), targets, self.condition.segments, self.smoothing)
        return {"classification": loss}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
