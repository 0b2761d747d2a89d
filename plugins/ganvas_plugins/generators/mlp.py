"""``generator: mlp``."""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Generator, Latents


class MlpGenerator(Generator):
    """Dense layers with leaky ReLU (0.2), and tanh: samples of any shape, (2, 1, 1) for points in the plane.

    Latents z (N, D), beside them the condition's numbers where there is one. The default has a common size for MNIST,
    100, 256, 512, 1024, 784.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, section 5; with a condition Mirza and Osindero,
    "Conditional Generative Adversarial Nets", 2014, section 4.1.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers a sample is drawn from")] = 100,
        prior: Annotated[
            Literal["normal", "uniform"], Field(description="their distribution; uniform is in [-1, 1]")
        ] = "normal",
        widths: Annotated[
            list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="widths of the hidden layers")
        ] = (256, 512, 1024),
        norm: Annotated[Literal["batch", "none"], Field(description="normalisation of the hidden layers")] = "none",
    ) -> None:
        super().__init__()
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"z": latent}, {"z": prior})
        given = latent + (math.prod(condition) if condition is not None else 0)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([given, *widths]):
            # Batch norm subtracts the mean, and with it any bias.
            layers += [nn.Linear(inputs, outputs, bias=norm == "none")]
            layers += [nn.BatchNorm1d(outputs)] if norm == "batch" else []
            layers += [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], math.prod(shape)))

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.conditional:
            latents = torch.cat([latents, condition.flatten(1)], dim=1)
        return torch.tanh(self.layers(latents)).unflatten(1, self.sample_shape)
