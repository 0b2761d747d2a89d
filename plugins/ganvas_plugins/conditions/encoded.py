"""Conditions computed from the images by an earlier stage's encoder: what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from ganvas import Condition, Data, Encoder, Trained

__all__ = ["EncodedCondition"]


class EncodedCondition(Condition):
    """A condition that is a function of the image's features.

    A subclass says what is ``derived`` from images; ``known`` gives it for a batch. While training, each sample is
    encoded only once.
    """

    needs = frozenset({"images"})

    def __init__(self, data: Data, encoder: Trained[Encoder]) -> None:
        super().__init__()
        self.data, self.encoder = data, encoder
        self._known: Tensor | None = None  # (N, ...), of each training sample; made again when needed

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F), in full precision whatever the stage trains in."""
        with torch.autocast(images.device.type, enabled=False):
            return self.encoder.encode(images.float()).flatten(1).float()

    @abstractmethod
    def derived(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, ...), what is kept of each sample."""

    def known(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What is derived from the images of a batch (N, ...).

        In evaluation mode the images themselves are encoded: their ``index`` may be that of other data.
        """
        if not self.training or "index" not in batch:
            return self.derived(batch["images"])
        if self._known is None:
            self._known = torch.cat([self.derived(part["images"]) for part in self.data.batches()])
        self._known = self._known.to(batch["index"].device)
        return self._known[batch["index"]]

    def drawn(self, data: Data, rng: torch.Generator, samples: int | None) -> Tensor:
        """Features (n, F) to fit to: of all samples, or of ``samples`` drawn at random where there are more.

        To be called by ``prepare``: what was known of each sample is forgotten.
        """
        self._known = None
        chosen = None
        if samples is not None and samples < len(data):
            chosen = torch.randperm(len(data), generator=rng, device=rng.device)[:samples].sort().values
        return torch.cat([self.features(part["images"]).cpu() for part in data.batches(indices=chosen)])
