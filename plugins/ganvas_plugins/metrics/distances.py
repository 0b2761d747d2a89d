"""Euclidean distances between large sets of points, block by block in float64, and what metrics read off them."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 2**24  # distances at once: 128 MiB
ROUNDING = 1e-12  # of the squared lengths: what float64 leaves of the distance between equal points


def squared_distances(first: Tensor, second: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """|x_i - y_j|^2 of points (N, F) and (M, F): rows of the first, and their distances (rows, M) to all of the second.

    By |x|^2 + |y|^2 - 2 x·y around the mean of the second set; what is below rounding is 0, so that equal points have
    no distance.
    """
    mean = second.double().mean(0)
    second = second.double() - mean
    lengths = second.square().sum(1)
    rows = max(1, BLOCK // len(second))
    for start in range(0, len(first), rows):
        part = first[start : start + rows].double() - mean
        scale = part.square().sum(1, keepdim=True) + lengths
        distances = torch.addmm(scale, part, second.T, alpha=-2)
        yield slice(start, start + len(part)), distances.masked_fill_(distances <= ROUNDING * scale, 0)


def radii(points: Tensor, k: int) -> Tensor:
    """Squared distance of each point (N, F) to the k-th nearest of the others, (N,) in float64."""
    found = []
    for rows, distances in squared_distances(points, points):
        own = torch.arange(rows.start, rows.stop, device=points.device).unsqueeze(1)
        distances.scatter_(1, own, torch.inf)
        found.append(distances.kthvalue(k, dim=1).values)
    return torch.cat(found)


def nearest(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each point (N, F) to the nearest of (M, F), (N,) in float64, and which one it is, (N,)."""
    found = [distances.min(dim=1) for _, distances in squared_distances(first, second)]
    return torch.cat([one.values for one in found]).sqrt(), torch.cat([one.indices for one in found])
