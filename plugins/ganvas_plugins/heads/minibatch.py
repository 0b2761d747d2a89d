"""What the heads that compare the samples of a batch share: statistics of the batch beside the features."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ganvas import Critique, Head
from ganvas_plugins.heads.parts import wide

__all__ = ["MinibatchHead"]


class MinibatchHead(Head):
    """Widens the features of every sample by statistics of its batch, and hands them to another head.

    On maps the statistics stand at every place alike. Reals and fakes are judged in batches of their own.
    """

    def wrap(
        self, head: Callable[..., Head], features: int, statistics: int, condition: tuple[int, ...] | None
    ) -> None:
        """Builds the inner head for so many features and statistics."""
        self.head = head(features + statistics, condition)
        self.conditional, self.gives, self.demands = self.head.conditional, self.head.gives, self.head.demands

    @abstractmethod
    def statistics(self, features: Tensor) -> Tensor:
        """(N, F, *S), not in half precision -> (N, K)."""

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        with torch.autocast(features.device.type, enabled=False):
            statistics = self.statistics(wide(features)).to(features.dtype)
        places = features.shape[2:]
        statistics = statistics.view(*statistics.shape, *[1] * len(places)).expand(-1, -1, *places)
        return self.head(torch.cat([features, statistics], dim=1), condition)
