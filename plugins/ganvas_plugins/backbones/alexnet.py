"""Backbone ``alexnet``: five convolutions and two dense layers."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone

SMALL = 64  # inputs with a shorter side below this many pixels are small

# Channels and kernel of each convolution, and whether a pooling comes before it.
CONVOLUTIONS = {
    "conv1": (64, 11, False),
    "conv2": (192, 5, True),
    "conv3": (384, 3, True),
    "conv4": (256, 3, False),
    "conv5": (256, 3, False),
}
DENSE = ("fc6", "fc7")
WIDTH = 4096  # of the dense layers


class AlexNet(Backbone):
    """AlexNet up to a layer; untrained, its features already tell digits apart.

    Convolutions of 64, 192, 384, 256 and 256 channels with kernels of 11, 5, 3, 3 and 3 pixels, ReLU after each; 3x3
    max pooling of stride 2 before the second and the third and after the fifth. The maps are then averaged to ``pool``
    times ``pool`` places, which suits any size of image, and flattened; two dense layers of 4096 with dropout follow.
    These are torchvision's sizes, all but its classification layer.

    Features (N, F) are those of ``layer``: ``fc7``, the last before the classes, (N, 4096); or a convolution's,
    averaged to ``pool`` times ``pool`` places and flattened. Layers after it are not built. Maps are named ``conv1`` to
    ``conv5``. Images are (N, C, H, W) in [-1, 1].

    The network is made for 224 pixels. Images with a shorter side under 64 pixels get a first convolution of stride 1
    in place of 4 and poolings that pad, so that each halves the size, rounded up: 28 pixels become maps of 28, 14, 7,
    7 and 7, and one pixel is enough.

    Source: Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012, in
    the one-column form of Krizhevsky, "One Weird Trick for Parallelizing Convolutional Neural Networks", 2014.
    Untrained features of an intermediate layer as a condition: Durall et al., "Latent Space Conditioning on
    Generative Adversarial Networks", 2021.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        layer: Annotated[
            Literal["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"],
            Field(description="the layer that gives the features; the network ends there"),
        ] = "fc7",
        pool: Annotated[
            int, Field(ge=1, description="places per side that maps are averaged to before they are flattened")
        ] = 6,
        dropout: Annotated[float, Field(ge=0, lt=1, description="dropout before each dense layer")] = 0.5,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        small = min(height, width) < SMALL
        self.pooling = 1 if small else 0  # padding of the poolings
        names = list(CONVOLUTIONS)
        self.layers = tuple(names[: names.index(layer) + 1] if layer in CONVOLUTIONS else names)
        self.convolutions = nn.ModuleDict()
        for name in self.layers:
            to, kernel, _ = CONVOLUTIONS[name]
            first = {"stride": 1 if small else 4, "padding": 5 if small else 2}
            self.convolutions[name] = nn.Conv2d(
                channels, to, kernel, **(first if name == "conv1" else {"padding": kernel // 2})
            )
            channels = to
        self.average = nn.AdaptiveAvgPool2d(pool)
        self.features = channels * pool**2
        self.dense = nn.Sequential()
        for _ in DENSE[: DENSE.index(layer) + 1] if layer in DENSE else ():
            self.dense.extend([nn.Dropout(dropout), nn.Linear(self.features, WIDTH), nn.ReLU()])
            self.features = WIDTH

    def forward(self, images: Tensor) -> Tensor:
        maps = self.feature_maps(images, self.layers[-1:])[self.layers[-1]]
        if len(self.dense):
            maps = self._pooled(maps)
        return self.dense(self.average(maps).flatten(1))

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        chosen, maps, value = self.named_layers(layers), {}, images
        for name, convolution in self.convolutions.items():
            if CONVOLUTIONS[name][2]:
                value = self._pooled(value)
            value = F.relu(convolution(value))
            if name in chosen:
                maps[name] = value
            if len(maps) == len(chosen):
                break
        return maps

    def _pooled(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(maps, 3, stride=2, padding=self.pooling)
