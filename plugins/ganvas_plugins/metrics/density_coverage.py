"""Metric ``density-coverage``: how densely samples lie among the real images, and how many of those have one near."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data
from ganvas_plugins.metrics.distances import radii, squared_distances
from ganvas_plugins.metrics.neighbourhoods import TIE, NeighbourhoodMetric, check_neighbours


class DensityCoverage(NeighbourhoodMetric):
    """Precision and recall by neighbourhoods of real images only, in which an outlier does not count for many.

    With x_i the features of N real and y_j those of M generated images, and r_k(x_i) the distance of x_i to its k-th
    nearest neighbour among the real ones, itself left out,

        density  = (1/(k M)) sum_j sum_i 1[ |y_j - x_i| < r_k(x_i) ],
        coverage = (1/N) sum_i 1[ |y_j - x_i| < r_k(x_i) for some j ].

    For samples of the data's own distribution density is 1 in expectation (it may be greater than 1) and coverage
    1 - 2^-k for many images of each sort (0.969 for k = 5); higher is better.

    Gives ``density-coverage@EXTRACTOR.density`` and ``density-coverage@EXTRACTOR.coverage``.

    Raises:
        ValueError: there are not more than k images, or the extractor cannot work with these data.

    Source: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020.
    """

    label = "density-coverage"
    shares = ("density", "coverage")

    def __init__(
        self,
        data: Data,
        *,
        k: Annotated[int, Field(ge=1, description="the neighbour that a point's radius reaches to")] = 5,
        **comparison: Any,
    ) -> None:
        super().__init__(data, k=k, **comparison)
        if self.real is not None:
            check_neighbours(k, self.real)

    def compared(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        return density_coverage(real, fake, self.k)


def density_coverage(real: Tensor, fake: Tensor, k: int) -> tuple[float, float]:
    """Density and coverage of features (N, F) and (M, F)."""
    reach = radii(real, k) * (1 - TIE)
    inside = torch.zeros((), dtype=torch.long, device=real.device)
    covered = []
    for rows, distances in squared_distances(real, fake):
        within = distances < reach[rows].unsqueeze(1)
        inside += within.sum()
        covered.append(within.any(1))
    return float(inside) / (k * len(fake)), float(torch.cat(covered).double().mean())
