"""Equalised learning rate, and the activation that goes with it: what StyleGAN's networks are made of."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

__all__ = ["ScaledLeakyReLU", "equalise", "pixel_norm"]


def equalise(network: nn.Module, rate: float = 1.0) -> nn.Module:
    """Gives every convolution and dense layer of a network the same learning rate, whatever its width.

    A weight is kept with deviation 1 / ``rate`` and multiplied by ``rate`` / √fan-in where it is used, so that Adam,
    whose steps do not depend on a gradient's size, moves all layers alike; ``rate`` is how much faster than others.
    Biases start at zero and are multiplied by ``rate``. What has a parametrization already stays as it is.

    Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018, section
    4.1; the rate from "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019, appendix C.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear) and not is_parametrized(layer):
            nn.init.normal_(layer.weight, 0.0, 1 / rate)
            register_parametrization(layer, "weight", _Scaled(rate / math.sqrt(layer.weight[0].numel())))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
                if rate != 1:
                    register_parametrization(layer, "bias", _Scaled(rate))
    return network


class _Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor


class ScaledLeakyReLU(nn.Module):
    """Leaky ReLU (0.2) times √2, which keeps the second moment of what is normal around zero about as it is."""

    def forward(self, values: Tensor) -> Tensor:
        return leaky_relu(values, 0.2) * math.sqrt(2)


def pixel_norm(values: Tensor) -> Tensor:
    """(N, D) -> the same, divided by each row's root mean square."""
    return values * torch.rsqrt(values.square().mean(1, keepdim=True) + 1e-8)
