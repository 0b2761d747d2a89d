"""Conditions computed from the images by an earlier stage's encoder: what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ganvas import Condition, Data, Encoder, Trained
from ganvas.kinds.data import to_float

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
        if samples is None or samples >= len(data):
            batches: Iterable[Tensor] = (batch["images"] for batch in data.batches())
        else:
            chosen = torch.randperm(len(data), generator=rng, device=rng.device)[:samples]
            batches = _images(data, chosen.sort().values.cpu())
        return torch.cat([self.features(images).cpu() for images in batches])


def _images(data: Data, indices: Tensor, size: int = 256) -> Iterable[Tensor]:
    """Float images of chosen samples, without reading the others."""
    dataset = next(iter(data.sources.values()))
    whole = dataset.tensors()
    for part in indices.split(size):
        if whole is not None:
            images = whole["images"][part.to(whole["images"].device)]
        else:
            images = torch.stack([dataset[index]["images"] for index in part.tolist()])
        yield to_float(images.to(data.device), dataset.fields["images"])
