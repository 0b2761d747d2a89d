"""Extractor ``channels``: another extractor, applied to each channel by itself."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Extractor, Use


class ChannelsExtractor(Extractor):
    """What another extractor makes of each channel as a grey image, side by side: (N, C F).

    For data whose channels are images of their own, as those of ``stacked-mnist`` are. Such a dataset says of what data
    each channel is an image (its attribute ``channel``), and these are what the other extractor is told of:
    ``classifier`` learns single digits, and is the same network as for the digits' own data. Grey images are their own
    only channel.

    Where the classes of the data are one class per channel, the first one counting most (100 a + 10 b + c), it tells
    them apart by log p(a, b, ...) = log p_1(a) + log p_2(b) + ..., so that the likeliest class is made of each
    channel's likeliest one.

    Raises:
        ValueError: the channels of the data are no images of their own, or the other extractor cannot work with them.

    Source: Metz et al., "Unrolled Generative Adversarial Networks", 2017, section 3.3.1 (a classifier of digits on each
    channel of stacked MNIST).
    """

    def __init__(
        self,
        *,
        extractor: Annotated[Use[Extractor], Field(description="what sees each channel")] = "classifier",
    ) -> None:
        super().__init__()
        self.extractor = extractor()
        self.name = f"channels-{self.extractor.name}"
        self.channels, self.features = 1, self.extractor.features

    def check(self, data: Data) -> None:
        """Raises ValueError where it cannot work with these data; else it knows their channels and classes."""
        channel = self._channel(data)
        check = getattr(self.extractor, "check", None)
        if check is not None:
            check(channel)
        self.channels = data.shape[0]
        self.features = self.channels * self.extractor.features
        classes = self.extractor.classes**self.channels
        self.classes = classes if classes == len(data.classes) else 0

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        """Tells the other extractor of the data that each channel is an image of, where it asks for that."""
        self.check(data)
        prepare = getattr(self.extractor, "prepare", None)
        if prepare is not None:
            prepare(self._channel(data), rng)

    @property
    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.name, "each channel": dict(self.extractor.protocol)}

    def forward(self, images: Tensor) -> Tensor:
        return self.extractor(self._each(images)).unflatten(0, (len(images), self.channels)).flatten(1)

    def unrounded(self, images: Tensor) -> Tensor:
        return self.extractor.unrounded(self._each(images)).unflatten(0, (len(images), self.channels)).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, C F) -> log-probabilities (N, K^C) of the combinations of K classes."""
        if not self.classes:
            return super().logits(features)
        parts = self.extractor.logits(features.unflatten(1, (self.channels, -1)).flatten(0, 1)).log_softmax(1)
        first, *others = parts.unflatten(0, (len(features), self.channels)).unbind(1)
        for other in others:
            first = (first.unsqueeze(2) + other.unsqueeze(1)).flatten(1)
        return first

    def _each(self, images: Tensor) -> Tensor:
        if images.shape[1] != self.channels:
            raise ValueError(
                f"these images have {images.shape[1]} channels, and those that it was told of {self.channels}"
            )
        return images.flatten(0, 1).unsqueeze(1)

    def _channel(self, data: Data) -> Data:
        """The data that each channel is an image of."""
        if data.shape[0] == 1:
            return data
        channel = getattr(next(iter(data.sources.values())), "channel", None)
        if channel is None:
            raise ValueError(
                f"the extractor {self.name} needs data whose channels are images of their own, such as stacked-mnist; "
                f"use {self.extractor.name} itself for these"
            )
        return Data(channel, device=data.device)
