"""Metric ``neighbours``: how often is the nearest neighbour in feature space of the same class?"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas.kinds.data import evenly
from ganvas_plugins.metrics.features import EncoderMetric, check_labels, known_labels

BATCH = 64
RANKS = (1, 2, 5)


class Neighbours(EncoderMetric):
    """Share of images whose 1st, 2nd and 5th nearest neighbour is of their own class.

    p_r = (1/M) sum_i 1[y_{n_r(i)} = y_i],   n_r(i) the r-th nearest of all other images to image i,

    over the stage's own data: what latent-space conditioning relies on when it takes a near image for one of the same
    class. In [0, 1], higher is better; chance is 1/K for K classes of equal size.

    Gives ``neighbours.1``, ``neighbours.2`` and ``neighbours.5``.

    Raises:
        ValueError: the data have no labels, or fewer than six images.

    Source: Durall, Ho, Pfreundt & Keuper, "Latent Space Conditioning on Generative Adversarial Networks", 2020, the
    table of latent structures.
    """

    def __init__(
        self,
        data: Data,
        *,
        distance: Annotated[
            Literal["l1", "cosine"], Field(description="between features: sum of absolute differences, or the angle")
        ] = "l1",
        samples: Annotated[
            int, Field(ge=1, description="images whose neighbours are looked up, evenly spread over the data")
        ] = 2000,
    ) -> None:
        super().__init__(data)
        check_labels("neighbours", data)
        self.distance = distance
        self.samples = samples

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"distance": self.distance, "samples": min(self.samples, len(self.data)), "among": len(self.data)}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        encoded = stage.encoded()
        number = len(encoded.features)
        if number <= max(RANKS):
            raise ValueError(f"{number} images have no neighbour of rank {max(RANKS)}; give it more data")
        asked = evenly(number, self.samples)
        same = same_class(encoded.features, known_labels(encoded), asked, distance=self.distance)
        shares = same[:, [rank - 1 for rank in RANKS]].double().mean(0).tolist()
        return {f"neighbours.{rank}": Measurement(share, better="higher") for rank, share in zip(RANKS, shares)}


def same_class(features: Tensor, labels: Tensor, asked: Tensor, *, distance: str) -> Tensor:
    """Whether each neighbour of the chosen images, the nearest first, is of their class: (M, 5) booleans.

    Args:
        features: (N, F), among which neighbours are looked for; an image is no neighbour of itself.
        labels: (N,).
        asked: (M,), the places of the chosen images.
        distance: ``l1`` or ``cosine``.
    """
    asked = asked.to(features.device)
    features = features.double()
    if distance == "cosine":
        features = F.normalize(features, dim=1)
    found = []
    for part in asked.split(BATCH):
        apart = torch.cdist(features[part], features, p=1) if distance == "l1" else -(features[part] @ features.T)
        apart.scatter_(1, part.unsqueeze(1), torch.inf)
        nearest = apart.topk(max(RANKS), dim=1, largest=False).indices
        found.append(labels[nearest] == labels[part].unsqueeze(1))
    return torch.cat(found)
