"""``discriminator: template-name``."""

import math
from typing import Annotated

import torch
from ganvas import Critique, Discriminator, Head, Use
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu


class Template(Discriminator):
    """One score per image: strided convolutions, the mean over the last map, a head.

        h_0 = x,    h_l = leaky(conv_l(h_{l-1})),    features = mean over the places of h_L,    scores = head(features)

    Each 3x3 convolution halves the map (rounding up) and doubles the channels. Nothing is normalised, so any gradient
    penalty is safe. Images (N, C, H, W) may be of any size; features are (N, F), scores (N,). With ``conditional`` the
    condition's numbers stand beside the image as constant maps; a conditional head sees it either way.

    Raises:
        ValueError: ``conditional`` is on and the stage has no condition.

    Source: the strided convolutions from Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks", 2016, section 3; the pooled features from Miyato and Koyama, "cGANs
    with Projection Discriminator", 2018, section 5.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        channels: Annotated[
            int, Field(ge=1, description="channels of the first layer; the next ones double them")
        ] = 32,
        layers: Annotated[int, Field(ge=1, le=8, description="convolutions, each of which halves the map")] = 3,
        slope: Annotated[float, Field(ge=0, le=1, description="of the leaky ReLU below zero")] = 0.2,
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the image as constant maps")] = False,
    ) -> None:
        super().__init__()
        if conditional and condition is None:
            raise ValueError("conditional: true needs a condition, and this stage has none; give it one (labels, say)")
        inputs = shape[0] + (math.prod(condition) if conditional else 0)
        widths = [inputs, *(channels * 2**layer for layer in range(layers))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(widths[layer], widths[layer + 1], 3, stride=2, padding=1) for layer in range(layers)
        )
        self.layers = tuple(f"layer{number}" for number in range(layers))
        self.head = head(widths[-1], condition)
        self.slope = slope
        self.concatenates = conditional
        self.conditional = conditional or self.head.conditional

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        maps = samples
        if self.concatenates:
            constant = condition.flatten(1).to(samples.dtype)[:, :, None, None]
            maps = torch.cat([samples, constant.expand(-1, -1, *samples.shape[-2:])], dim=1)
        layers: dict[str, Tensor] = {}
        for name, convolution in zip(self.layers, self.convolutions, strict=True):
            layers[name] = maps = leaky_relu(convolution(maps), self.slope)
        features = maps.mean((2, 3))
        critique = self.head(features, condition)
        critique.features, critique.layers = features, layers
        return critique
