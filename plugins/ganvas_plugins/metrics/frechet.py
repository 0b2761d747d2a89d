"""Mean and covariance of features, streamed, and the Fréchet distance between two Gaussians, all in float64."""

import torch
from torch import Tensor

BATCH = 1024


class Moments:
    """Number, mean and covariance of the rows of batches seen so far.

    Batches are merged pairwise, which loses no digits to a large mean: with n, m rows, d the difference of their means,
    mean += m/(n+m) d and M += M_batch + nm/(n+m) d d^T, where M is the sum of squared deviations.

    Source: Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
    """

    def __init__(self, number: int = 0, mean: Tensor | None = None, deviations: Tensor | None = None) -> None:
        self.number = number
        self._mean = mean
        self._deviations = deviations

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Those of (N, F)."""
        moments = cls()
        for part in features.split(BATCH):
            moments.update(part)
        return moments

    def update(self, features: Tensor) -> None:
        """Takes in a batch (N, F)."""
        features = features.detach().double()
        number, mean = len(features), features.mean(0)
        centred = features - mean
        deviations = centred.T @ centred
        if self._mean is None or self._deviations is None:
            self.number, self._mean, self._deviations = number, mean, deviations
            return
        total = self.number + number
        apart = mean - self._mean
        self._deviations += deviations + torch.outer(apart, apart) * (self.number * number / total)
        self._mean += apart * (number / total)
        self.number = total

    @property
    def mean(self) -> Tensor:
        """(F,)"""
        if self._mean is None:
            raise ValueError("no features have been seen yet")
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """(F, F), unbiased (divided by n - 1)."""
        if self._deviations is None or self.number < 2:
            raise ValueError("a covariance needs at least two samples")
        return self._deviations / (self.number - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) between the Gaussians with these moments.

    The trace of the square root is the sum of the square roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is
    symmetric: no complex numbers, and a rank below the number of features does no harm.

    Source: Dowson & Landau, "The Fréchet Distance between Multivariate Normal Distributions", 1982; Heusel et al.,
    "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017, equation 6.
    """
    mean1, mean2 = first.mean.cpu(), second.mean.cpu()
    covariance1, covariance2 = first.covariance.cpu(), second.covariance.cpu()
    values, vectors = torch.linalg.eigh(covariance1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ covariance2 @ root
    shared = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + covariance1.trace() + covariance2.trace() - 2 * shared
    return float(distance)
