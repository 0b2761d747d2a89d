"""``encoder: template-name``."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from ganvas import Backbone, Encoder, Terms
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize


class Template(Encoder):
    """Alignment and uniformity: the views of an image lie together, all images spread evenly over the sphere.

    With embeddings z on the unit sphere, z⁺ that of the other view of the same image,

        alignment = E ‖z - z⁺‖²,    uniformity = log E exp(-t ‖z - z'‖²) over pairs of different images,
        L = alignment + λ · uniformity,    t = ``sharpness``, λ = ``weight``;

    uniformity is averaged over the two views, and 0 for a single image, which has no pair. z is a linear projection
    of the backbone's features, made unit length; later stages use the features. ``objective`` takes two views
    (N, C, H, W) in [-1, 1], ``encode`` gives (N, F). ``embeddings`` holds the features of the last objective, (2N, F).

    Source: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", 2020, section 4.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("simclr-views", "simclr-views")

    def __init__(
        self,
        backbone: Backbone,
        *,
        sharpness: Annotated[float, Field(gt=0, description="t: the larger, the more only near pairs count")] = 2.0,
        weight: Annotated[float, Field(gt=0, description="λ, the weight of the uniformity")] = 1.0,
        projection: Annotated[int, Field(ge=2, description="width of the embeddings that are compared")] = 128,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features
        self.sharpness = sharpness
        self.weight = weight
        self.projector = nn.Linear(self.features, projection)
        self.embeddings: Tensor | None = None

    def objective(self, *views: Tensor) -> Terms:
        features = self.backbone(torch.cat(views))  # as one batch: a batch norm sees both views together
        self.embeddings = features.detach()
        first, second = normalize(self.projector(features).float(), dim=1).chunk(2)
        uniformity = 0.5 * (self.uniformity(first) + self.uniformity(second))
        return {"alignment": (first - second).square().sum(1).mean(), "uniformity": self.weight * uniformity}

    def uniformity(self, embeddings: Tensor) -> Tensor:
        """log E exp(-t ‖z - z'‖²) over the pairs of (N, D) embeddings of unit length."""
        one, other = torch.triu_indices(len(embeddings), len(embeddings), 1, device=embeddings.device)
        if len(one) == 0:
            return embeddings.sum() * 0.0
        with torch.autocast(embeddings.device.type, enabled=False):
            distances = 2 - 2 * (embeddings @ embeddings.T)[one, other]
        return (-self.sharpness * distances).exp().mean().log()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
