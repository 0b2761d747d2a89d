"""Encoder ``moco``: momentum contrast against a queue of earlier keys."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, Data, Encoder, Progress, Scheduled, Terms, gather
from ganvas_plugins.encoders.parts import Target, check_backbone, full_precision


@full_precision
def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """-log( exp(q.k+ / t) / (exp(q.k+ / t) + sum_i exp(q.k_i / t)) ), mean over the batch, of vectors of length one.

    Args:
        queries: (N, D), of the first views.
        keys: (N, D), of the second views: k+.
        queue: (K, D), keys of other images: k_i.
        temperature: t > 0.

    Source: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", 2020, equation 1.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


class Moco(Encoder):
    """MoCo v2: a query shall be told to belong to its key among the many keys of earlier batches.

    With the query network f, g (weights theta) and the key network f', g' (weights xi), all outputs of length one::

        q = g(f(v)),  k = g'(f'(v'))         no gradient reaches the key network
        L = ``info_nce`` of q against k and the queue
        xi <- m xi + (1 - m) theta           after each step; then k replaces the oldest keys of the queue

    The queue makes the number of negatives independent of the batch size. It starts with random directions and is
    saved and resumed with the weights.

    The projector is linear, ReLU, linear (v2), its hidden layer as wide as the features by default (of a ResNet-50
    2048, the paper's). The paper's queue of 65,536 keys is made for ImageNet's million images: a queue should be
    shorter than the data set, so 4,096 is the default here. Batches are not shuffled between devices: statistics of
    batch norm are those of the whole batch in one process.

    ``objective`` takes two views (N, C, H, W) in [-1, 1]; ``encode`` gives (N, F), the query network's.

    Source: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", 2020, algorithm 1; Chen et
    al., "Improved Baselines with Momentum Contrastive Learning", 2020, section 3.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ("moco-views", "moco-views")

    def __init__(
        self,
        backbone: Backbone,
        data: Data | None = None,
        *,
        temperature: Annotated[float, Field(gt=0, description="divides the cosine similarities")] = 0.2,
        momentum: Annotated[
            Scheduled, Field(ge=0, le=1, description="share of its weights that the key network keeps in a step")
        ] = 0.999,  # type: ignore[assignment]
        queue: Annotated[int, Field(gt=0, description="how many keys are kept")] = 4096,
        projection: Annotated[int, Field(gt=0, description="width of queries and keys")] = 128,
        hidden: Annotated[
            int | None,
            Field(gt=0, description="width of the projector's hidden layer; that of the features if none"),
        ] = None,
    ) -> None:
        super().__init__()
        self.shape = data.shape if data is not None else None
        self.backbone = backbone
        self.features = backbone.features
        self.temperature = temperature
        self.momentum = Scheduled.of(momentum)
        hidden = hidden or self.features
        self.projector = nn.Sequential(nn.Linear(self.features, hidden), nn.ReLU(), nn.Linear(hidden, projection))
        self.target = Target(nn.Sequential(self.backbone, self.projector))
        self.register_buffer("queue", F.normalize(torch.randn(queue, projection), dim=1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))
        self._keys: Tensor | None = None  # of the last objective, until they are in the queue

    def check_batch(self, size: int) -> None:
        if size == 1 and self.shape is not None:
            check_backbone(self.backbone, (1, *self.shape), "set batch_size to 2 or more")
        if size > len(self.queue):
            raise ValueError(
                f"a queue of {len(self.queue)} keys cannot take those of a batch of {size}; "
                f"set queue to {size} or more, or a smaller batch_size"
            )

    def objective(self, *views: Tensor) -> Terms:
        first, second = views
        features = self.backbone(first)
        self.embeddings = features.detach()
        queries = F.normalize(self.projector(features), dim=1)
        keys = F.normalize(self.target(second), dim=1)
        self._keys = gather(keys)
        return {"info-nce": info_nce(queries, keys, self.queue, self.temperature)}

    def after_update(self, progress: Progress) -> None:
        self.target.follow(nn.Sequential(self.backbone, self.projector), self.momentum.at(progress))
        assert self._keys is not None  # the objective ran before
        places = (self.oldest + torch.arange(len(self._keys), device=self.queue.device)) % len(self.queue)
        self.queue[places] = self._keys.to(self.queue.dtype)
        self.oldest.add_(len(self._keys)).remainder_(len(self.queue))
        self._keys = None

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
