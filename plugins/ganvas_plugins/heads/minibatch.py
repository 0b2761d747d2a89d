"""What the heads that compare the samples of a batch share: statistics of the batch beside the features."""

from abc import abstractmethod

import torch
from torch import Tensor

from ganvas import Critique
from ganvas_plugins.heads.parts import WrappingHead, wide

__all__ = ["MinibatchHead"]


class MinibatchHead(WrappingHead):
    """Widens the features of every sample by statistics of its batch, and hands them to another head.

    On maps the statistics stand at every place alike. Reals and fakes are judged in batches of their own; where several
    processes train together, each judges its share of them by itself.
    """

    @abstractmethod
    def statistics(self, features: Tensor) -> Tensor:
        """(N, F, *S), not in half precision -> (N, K)."""

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        with torch.autocast(features.device.type, enabled=False):
            statistics = self.statistics(wide(features)).to(features.dtype)
        places = features.shape[2:]
        statistics = statistics.view(*statistics.shape, *[1] * len(places)).expand(-1, -1, *places)
        return self.head(torch.cat([features, statistics], dim=1), condition)
