"""Encoder ``rotation``: tells by how much an image is rotated."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganvas import Backbone, Data, Encoder, Terms


def four_rotations(images: Tensor) -> Tensor:
    """(N, C, S, S) -> (4N, C, S, S): the images rotated by 0, 90, 180 and 270 degrees, in this order."""
    return torch.cat([images.rot90(quarters, (2, 3)) for quarters in range(4)])


class Rotation(Encoder):
    """RotNet: to see which way is up, a network has to know what it looks at.

    Each image enters the batch in all four rotations, and a linear layer of the features says which it is::

        L = -1/4 sum_{y = 0..3} log softmax(W f(rot90(x, y)) + b)_y,   mean over the batch

    Images must be square. The recommended view crops and flips; turning the colours would not help.

    ``objective`` takes one view (N, C, S, S) in [-1, 1]; ``encode`` gives (N, F).

    Raises:
        ValueError: the images are not square.

    Source: Gidaris, Singh & Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations", 2018,
    equations 1 and 2.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = (
        {"use": "simclr-views", "scale": [0.5, 1.0], "jitter": 0.0, "grayscale": 0.0, "blur": 0.0},
    )

    def __init__(self, backbone: Backbone, data: Data) -> None:
        super().__init__()
        _, height, width = data.shape
        if height != width:
            raise ValueError(
                f"images of {height}x{width} cannot be rotated by 90 degrees; set the dataset's size to one number, "
                f"such as {min(height, width)}"
            )
        self.backbone = backbone
        self.features = backbone.features
        self.head = nn.Linear(self.features, 4)

    def objective(self, *views: Tensor) -> Terms:
        (view,) = views
        features = self.backbone(four_rotations(view))
        self.embeddings = features.detach()
        rotations = torch.arange(4, device=view.device).repeat_interleave(len(view))
        return {"rotation": F.cross_entropy(self.head(features).float(), rotations)}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
