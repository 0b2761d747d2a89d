"""Metric ``precision-recall``: how many samples lie among the real images, and how many of those among the samples?"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data
from ganvas_plugins.metrics.distances import radii, squared_distances
from ganvas_plugins.metrics.neighbourhoods import TIE, NeighbourhoodMetric, check_neighbours


class PrecisionRecall(NeighbourhoodMetric):
    """Shares of generated images among the real ones, and of real ones among the generated.

    With x_i the features of N real and y_j those of M generated images, and r_k(p) the distance of a point p to its
    k-th nearest neighbour in its own set, itself left out,

        precision = (1/M) sum_j 1[ |y_j - x_i| <= r_k(x_i) for some i ],
        recall    = (1/N) sum_i 1[ |x_i - y_j| <= r_k(y_j) for some j ].

    Precision says how good the samples are, recall how much of the data they cover; both in [0, 1], higher is better,
    and both grow with k and fall with the width of the features. One outlier among the real images can take in many
    samples (see density-coverage). As many images of each sort should be compared.

    Gives ``precision-recall@EXTRACTOR.precision`` and ``precision-recall@EXTRACTOR.recall``.

    Raises:
        ValueError: there are not more than k images, or the extractor cannot work with these data.

    Source: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
    equations 1 and 2 (there of 50,000 images each, with VGG-16's features).
    """

    label = "precision-recall"
    shares = ("precision", "recall")

    def __init__(
        self,
        data: Data,
        *,
        k: Annotated[int, Field(ge=1, description="the neighbour that a point's radius reaches to")] = 3,
        **comparison: Any,
    ) -> None:
        super().__init__(data, k=k, **comparison)
        check_neighbours(k, min(self.samples, self.real or self.samples))

    def compared(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        return precision_recall(real, fake, self.k)


def precision_recall(real: Tensor, fake: Tensor, k: int) -> tuple[float, float]:
    """Precision and recall of features (N, F) and (M, F)."""
    real_radii, fake_radii = radii(real, k) * (1 + TIE), radii(fake, k) * (1 + TIE)
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    recalled = []
    for rows, distances in squared_distances(real, fake):
        precise |= (distances <= real_radii[rows].unsqueeze(1)).any(0)
        recalled.append((distances <= fake_radii).any(1))
    return float(precise.double().mean()), float(torch.cat(recalled).double().mean())
