"""Extractor ``random``: a convolutional network that was never trained."""

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas_plugins.extractors.pictures import PictureExtractor, prepared

_SIDE = 64


class RandomExtractor(PictureExtractor):
    """Channel means, (N, ``width``), behind four convolutions with random weights.

    It knows nothing, so its numbers say little to an eye, but it is unbiased by any data set, costs next to nothing,
    needs no download, and is the same everywhere: the weights depend on ``seed`` alone. Its numbers compare with no
    other extractor's.

    Images (N, 1 or 3, H, W) in [-1, 1] are rounded to 8 bits, as if they had been saved, and resized to
    ``side`` x ``side`` (bicubic, antialiased, all of the image); grey ones are repeated. Each 3x3 convolution halves
    the sides and is followed by ReLU; they have 1/8, 1/4, 1/2 and all of ``width`` channels, and normal weights of
    variance 2 / fan-in.

    Source: random embeddings are tried by Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative
    Models", 2020 (there a VGG-16); the weights' variance is that of He et al., "Delving Deep into Rectifiers", 2015.
    """

    name = "random"

    def __init__(
        self,
        *,
        seed: Annotated[int, Field(ge=0, description="of the weights")] = 0,
        width: Annotated[int, Field(ge=8, multiple_of=8, description="number of features")] = 256,
        side: Annotated[int, Field(ge=8, description="pixels that images are resized to")] = _SIDE,
    ) -> None:
        super().__init__()
        self.seed, self.features, self.side = seed, width, side
        if side != _SIDE:
            self.name = f"random-{side}"
        # A generator of its own on the CPU: the same network on every device.
        rng = torch.Generator("cpu").manual_seed(seed)
        layers: list[nn.Module] = []
        channels = 3
        for filters in (width // 8, width // 4, width // 2, width):
            convolution = nn.Conv2d(channels, filters, 3, stride=2, padding=1, bias=False)
            weights = torch.randn(convolution.weight.shape, generator=rng, device="cpu")
            with torch.no_grad():
                convolution.weight.copy_(weights * math.sqrt(2 / (9 * channels)))
            layers += [convolution, nn.ReLU()]
            channels = filters
        self.network = nn.Sequential(*layers)
        self.eval().requires_grad_(False)

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "extractor": "random",
            "weights": f"random, seed {self.seed}, width {self.features}",
            "input": f"{self.side}x{self.side} bicubic, 8 bits",
        }

    def of_levels(self, values: Tensor) -> Tensor:
        return self.network(prepared(values, self.side)).mean((2, 3))
