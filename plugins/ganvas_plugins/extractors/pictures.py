"""What extractors for grey or colour images of any size share."""

import itertools
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ganvas import Data, Extractor


class PictureExtractor(Extractor):
    """A network that takes images (N, 1 or 3, H, W) of any size; grey ones are repeated.

    A subclass says what the features ``of_levels`` are.
    """

    def forward(self, images: Tensor) -> Tensor:
        return self.of_levels(levels(images).round())

    def unrounded(self, images: Tensor) -> Tensor:
        return self.of_levels(levels(images))

    @abstractmethod
    def of_levels(self, values: Tensor) -> Tensor:
        """Levels in [0, 255], (N, 1 or 3, H, W) -> features (N, F)."""

    def check(self, data: Data) -> None:
        """Raises ValueError for data that are no pictures."""
        if data.shape[0] not in (1, 3):
            raise ValueError(
                f"the extractor {self.name} takes images of 1 or 3 channels, and these have {data.shape[0]}; "
                "use classifier (for labelled data) or the stage of an encoder"
            )


def folded(network: nn.Module) -> nn.Module:
    """A trained network to measure with: each batch norm that was registered behind a convolution becomes part of it.

    For networks in which what is registered behind a convolution is also applied to its output. A batch norm with an
    activation of its own (timm's) leaves that behind. The same function up to the order of float32 sums, in fewer
    passes through memory, and in channels-last order, which is the fastest for convolutions on a CPU.
    """
    network.eval().requires_grad_(False)
    for module in network.modules():
        children = list(module.named_children())
        for (name, convolution), (after, norm) in itertools.pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, after, getattr(norm, "act", nn.Identity()))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def levels(images: Tensor) -> Tensor:
    """Images in [-1, 1] -> in [0, 255], in float32; rounded, they are what would be saved."""
    return images.float().clamp(-1, 1).add(1).mul(127.5)


def prepared(values: Tensor, side: int) -> Tensor:
    """Levels (N, 1 or 3, H, W) in [0, 255] -> (N, 3, side, side) in [-1, 1].

    The resize is bicubic, antialiased, and of all of the image.
    """
    images = values.div(127.5).sub(1)
    if images.shape[-2:] != (side, side):
        images = F.interpolate(images, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
    return images.expand(-1, 3, -1, -1)
