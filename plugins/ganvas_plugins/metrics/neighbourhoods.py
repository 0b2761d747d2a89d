"""What the metrics share that ask which points lie within the reach of others' nearest neighbours."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas_plugins.metrics.comparison import FeatureMetric

__all__ = ["TIE", "NeighbourhoodMetric", "check_neighbours"]

TIE = 1e-9  # relative difference of squared distances that is rounding


class NeighbourhoodMetric(FeatureMetric):
    """Two shares of real and generated images by the distances to their k-th nearest neighbours.

    Attributes:
        label: the metric's name, before the extractor's.
        shares: what the two are called.
    """

    label: str
    shares: tuple[str, str]

    def __init__(self, data: Data, *, k: int, **comparison: Any) -> None:
        super().__init__(data, **comparison)
        self.k = k

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"k": self.k, **super().protocol}

    @abstractmethod
    def compared(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        """The two numbers of features (N, F) and (M, F)."""

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        real, fake = self.real_features(stage), self.fake_features(stage)
        check_neighbours(self.k, len(real))
        return {
            f"{self.label}@{self.extractor.name}.{share}": Measurement(value, better="higher")
            for share, value in zip(self.shares, self.compared(real, fake), strict=True)
        }


def check_neighbours(k: int, images: int) -> None:
    """Raises ``ValueError`` where an image has fewer than k others."""
    if k >= images:
        raise ValueError(f"of {images} images none has a neighbour of rank {k}; take more images or lower k")
