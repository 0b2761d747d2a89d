"""``generator: dcgan``."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Generator, Latents
from ganvas_plugins.layers import halvings, initialise, normalisation


class DcganGenerator(Generator):
    """Transposed convolutions with batch norm, from a small map up to the image.

    Latents z (N, D), beside them the condition's numbers where there is one; a dense layer to a base of 4 to 7 pixels;
    strided transposed convolutions that each double the image and halve the channels, down to ``channels`` before the
    last; tanh. Batch norm and ReLU everywhere but after the last layer. The paper's network for 64x64 is
    ``channels: 128, kernel: 5``; the common port is the default. Weights start from N(0, 0.02). Any size that is such
    a base doubled a few times fits, square or not (28x28, 48x64); others raise ``ValueError``.

    Source: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", 2016, section 3 and figure 1.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers a sample is drawn from")] = 100,
        prior: Annotated[
            Literal["normal", "uniform"], Field(description="their distribution; the paper's is uniform in [-1, 1]")
        ] = "uniform",
        channels: Annotated[
            int, Field(ge=1, description="channels before the last layer; double at each halving")
        ] = 64,
        kernel: Annotated[Literal[4, 5], Field(description="size of the convolutions; the paper's code has 5")] = 4,
        norm: Annotated[
            Literal["batch", "none"], Field(description="normalisation of all layers but the last")
        ] = "batch",
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"z": latent}, {"z": prior})
        self.base = (shape[-2] >> depth, shape[-1] >> depth)
        widths = [channels * 2**level for level in reversed(range(depth))]
        inputs = latent + (math.prod(condition) if condition is not None else 0)
        biased = norm == "none"
        self.project = nn.Linear(inputs, widths[0] * math.prod(self.base), bias=biased)
        layers: list[nn.Module] = [normalisation(norm, widths[0]), nn.ReLU()]
        for width, narrower in zip(widths, [*widths[1:], shape[0]], strict=True):
            last = len(layers) == 2 + 3 * (depth - 1)
            up = nn.ConvTranspose2d(
                width,
                narrower,
                kernel,
                stride=2,
                padding=(kernel - 1) // 2,
                output_padding=kernel - 4,
                bias=biased or last,
            )
            layers += [up, nn.Tanh()] if last else [up, normalisation(norm, narrower), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.conditional:
            latents = torch.cat([latents, condition.flatten(1)], dim=1)
        return self.layers(self.project(latents).unflatten(1, (-1, *self.base)))
