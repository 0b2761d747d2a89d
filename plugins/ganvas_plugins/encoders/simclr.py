"""Encoder ``simclr``: contrastive learning of two views per image."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, Encoder, Terms, gather
from ganvas_plugins.encoders.parts import full_precision, needs_others


@full_precision
def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The normalised, temperature-scaled cross entropy of N pairs of embeddings.

    l_i = -log( exp(sim(z_i, z_j) / t) / sum_{k != i} exp(sim(z_i, z_k) / t) ), averaged over the 2N embeddings z_i,
    where z_j is the other view of the same image and sim the cosine.

    Args:
        first: (N, D), embeddings of the first views.
        second: (N, D), of the second views, in the same order.
        temperature: t > 0.

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, equation 1.
    """
    number = len(first)
    embeddings = F.normalize(torch.cat([first, second]), dim=1)
    similarity = embeddings @ embeddings.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    partners = torch.arange(2 * number, device=first.device).roll(number)
    return F.cross_entropy(similarity, partners)


class Simclr(Encoder):
    """SimCLR: the two views of an image shall be told apart from the views of all other images of the batch.

    The backbone's features h go through a projector, z = W2 ReLU(W1 h), on which the NT-Xent loss acts (``nt_xent``);
    later stages use h. Both views go through the network as one batch, so batch normalisation sees them together.

    ``objective`` takes two views (N, C, H, W) in [-1, 1], N > 1; ``encode`` gives (N, F).

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("simclr-views", "simclr-views")

    def __init__(
        self,
        backbone: Backbone,
        *,
        temperature: Annotated[float, Field(gt=0, description="divides the cosine similarities")] = 0.5,
        projection: Annotated[int, Field(gt=0, description="width of the embeddings that the loss compares")] = 128,
        hidden: Annotated[
            int | None,
            Field(gt=0, description="width of the projector's hidden layer; that of the features if none"),
        ] = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features
        self.temperature = temperature
        hidden = hidden or self.features
        self.projector = nn.Sequential(nn.Linear(self.features, hidden), nn.ReLU(), nn.Linear(hidden, projection))

    def check_batch(self, size: int) -> None:
        needs_others(size, "the other images of the batch are the negatives")

    def objective(self, *views: Tensor) -> Terms:
        features = self.backbone(torch.cat(views))
        self.embeddings = features.detach()
        first, second = self.projector(features).chunk(2)
        return {"nt-xent": nt_xent(gather(first), gather(second), self.temperature)}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
