"""``backbone: template-name``."""

from typing import Annotated

from ganvas import Backbone
from pydantic import Field
from torch import Tensor, nn


class Template(Backbone):
    """Convolutions only: strides in place of pooling, and the mean over the last map.

        h_0 = x,    h_l = ReLU(norm(conv_l(h_{l-1}))),    features = mean over the places of h_L

    Each 3x3 convolution halves the map (rounding up) and doubles the channels: C, 2C, 4C, ... The norm is over all of
    an image's numbers, so that a batch may be of one and no image depends on another. Images (N, C, H, W) in [-1, 1] of
    any size give features (N, F) with F = C · 2^(L - 1); ``feature_maps`` names the maps ``level0``, ``level1``, ...

    Source: Springenberg et al., "Striving for Simplicity: The All Convolutional Net", 2015, section 2; the norm from
    Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels of the first layer; the next ones double them")
        ] = 32,
        layers: Annotated[int, Field(ge=1, le=8, description="convolutions, each of which halves the map")] = 3,
    ) -> None:
        super().__init__()
        widths = [shape[0], *(channels * 2**level for level in range(layers))]
        self.features = widths[-1]
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[level], widths[level + 1], 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, widths[level + 1]),
                nn.ReLU(),
            )
            for level in range(layers)
        )

    def forward(self, images: Tensor) -> Tensor:
        return list(self.feature_maps(images).values())[-1].mean((2, 3))

    def feature_maps(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = {}
        for level, layer in enumerate(self.levels):
            maps[f"level{level}"] = images = layer(images)
        return maps
