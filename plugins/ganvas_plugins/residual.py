"""What ``resnet`` and ``biggan`` share: blocks that change the size, a block that attends, initial weights.

A 3x3 convolution after nearest upsampling, or before average pooling, is one convolution with a 4x4 window that moves
in steps of two: less than half the work, and the large map is never made. A 1x1 convolution and either change of size
commute, so shortcuts convolve the smaller map. Both are equal up to rounding. On small maps, where a convolution's time
goes into its weights, the larger window does not pay.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, interpolate, max_pool2d, relu, softmax

from ganvas_plugins.layers import ConditionalBatchNorm, halvings, weight_layers

__all__ = ["DownBlock", "NonLocal", "PooledFeatures", "UpBlock", "attended", "initialise", "paper_halvings", "widths"]

SMALL = 32  # pixels up to which SNGAN's networks are those for CIFAR-10
PLACES = 64  # of the smaller map, from which on the window of 4x4 is faster


class UpBlock(nn.Module):
    """A residual block which doubles a map: U(S x) + C₂ relu N₂ C₁ U relu N₁ x.

    U is the upsampling, C₁ and C₂ are 3x3 convolutions, S is a 1x1 one, N₁ and N₂ are (conditional) batch norm.

    Args:
        condition: width of the condition, 0 for none; None leaves out N₁ and N₂, as a discriminator does.
        spectral_norm: of the norms' layers; the convolutions' is put on with the whole network's.
    """

    def __init__(
        self, inputs: int, outputs: int, condition: int | None, upsampling: str = "nearest", spectral_norm: bool = False
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        normed = condition is not None
        self.norm1 = ConditionalBatchNorm(inputs, condition, spectral_norm) if normed else None
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = ConditionalBatchNorm(outputs, condition, spectral_norm) if normed else None
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and (N, K) or None -> (N, C', 2H, 2W)."""
        hidden = relu(maps if self.norm1 is None else self.norm1(maps, condition))
        if self.upsampling == "nearest" and hidden.shape[2] * hidden.shape[3] >= PLACES:
            window = 4 * four_by_four(self.first.weight.flip(2, 3)).transpose(0, 1)
            hidden = conv_transpose2d(hidden, window, self.first.bias, stride=2, padding=1)
        else:
            hidden = self.first(self.enlarge(hidden))
        hidden = self.second(relu(hidden if self.norm2 is None else self.norm2(hidden, condition)))
        return hidden + self.enlarge(self.shortcut(maps))

    def enlarge(self, maps: Tensor) -> Tensor:
        return interpolate(maps, scale_factor=2, mode=self.upsampling)


class DownBlock(nn.Module):
    """A discriminator's residual block: P(S x) + P(C₂ relu C₁ relu x), where P halves the map by averaging.

    C₁ and C₂ are 3x3 convolutions; S is a 1x1 one, or nothing where neither size nor width changes.

    Args:
        hidden: channels between the two convolutions.
        halve: whether there is a P.
        first: whether x is the image, which no ReLU may cut.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve = halve
        self.cut = nn.Identity() if first else nn.ReLU()
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve or inputs != outputs else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W), or half of H and W."""
        hidden = relu(self.first(self.cut(maps)))
        if not self.halve:
            return self.second(hidden) + self.shortcut(maps)
        if hidden.shape[2] * hidden.shape[3] >= 4 * PLACES:
            hidden = conv2d(hidden, four_by_four(self.second.weight), self.second.bias, stride=2, padding=1)
        else:
            hidden = avg_pool2d(self.second(hidden), 2)
        return hidden + self.shortcut(avg_pool2d(maps, 2))


def four_by_four(kernel: Tensor) -> Tensor:
    """(O, I, 3, 3) -> (O, I, 4, 4): the mean of the kernel at its four places in a larger window."""
    return avg_pool2d(kernel, 2, stride=1, padding=1)


class NonLocal(nn.Module):
    """Self-attention over the places of a map: x + γ W_o V softmax(Qᵀ K)ᵀ, γ learned from zero.

    Q = W_q x has C/8 channels; K and V, with C/8 and C/2, are the largest of each 2x2 places; no biases.

    Source: Zhang et al., "Self-Attention Generative Adversarial Networks", 2019, equations 1 to 3; the pooling from
    Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); the condition is not used."""
        query = self.query(maps).flatten(2)
        key, value = (max_pool2d(layer(maps), 2).flatten(2) for layer in (self.key, self.value))
        # Written out, as the fused attention cannot be differentiated twice.
        weights = softmax(query.transpose(1, 2) @ key, dim=-1)
        attended = (value @ weights.transpose(1, 2)).unflatten(2, maps.shape[2:])
        return maps + self.gamma * self.out(attended)


class PooledFeatures(nn.Module):
    """ReLU, then the ``sum`` or the ``mean`` over all places: (N, F, H, W) -> (N, F)."""

    def __init__(self, pooling: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        maps = relu(maps)
        return maps.sum((2, 3)) if self.pooling == "sum" else maps.mean((2, 3))


def attended(sides: Sequence[int], attention: int | None) -> int:
    """The shorter side of the maps that get a non-local block: 64 unless another is asked for; 0 for none.

    Raises:
        ValueError: none of the network's maps has the side that is asked for; it names those there are.
    """
    if attention and attention not in sides:
        raise ValueError(
            f"no map has a shorter side of {attention} pixels; "
            f"set attention to {' or '.join(map(str, sorted(set(sides))))}, or to 0 for none"
        )
    return 64 if attention is None else attention


def paper_halvings(shape: tuple[int, ...]) -> int:
    """How often SNGAN's discriminators halve an image: twice up to 32 pixels, else down to 2 or 3, five times at most.

    Raises:
        ValueError: the sides do not divide so; it names the nearest sizes that fit.
    """
    depth = halvings(shape)
    even = not any((side >> depth) % 2 for side in shape[-2:])
    return min(depth + even, 2 if min(shape[-2:]) <= SMALL else 5)


def widths(
    shape: tuple[int, ...], number: int, channels: int | None, max_channels: int | None, small: int
) -> list[int]:
    """Channels of ``number`` maps, from the finest: ``channels``, doubled each time up to ``max_channels``.

    Left out they are SNGAN's: ``small`` throughout up to 32 pixels, else 64 up to 1024.
    """
    tiny = min(shape[-2:]) <= SMALL
    channels = channels or (small if tiny else 64)
    max_channels = max_channels or channels * (1 if tiny else 16)
    return [min(max_channels, channels * 2**level) for level in range(number)]


def initialise(network: nn.Module, weights: Literal["glorot", "orthogonal", "normal"]) -> None:
    """Draws the weights of all layers and sets their biases to zero.

    ``glorot`` is uniform, with a gain of √2 for the 3x3 convolutions of residual blocks (SNGAN); ``orthogonal`` and
    ``normal``, N(0, 0.02), are BigGAN's. Layers of conditional batch norm stay as they are.
    """
    blocks = [module for module in network.modules() if isinstance(module, UpBlock | DownBlock)]
    residual = {id(layer) for block in blocks for layer in (block.first, block.second)}
    for layer in weight_layers(network):
        if weights == "glorot":
            nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if id(layer) in residual else 1.0)
        elif weights == "orthogonal":
            nn.init.orthogonal_(layer.weight)
        else:
            nn.init.normal_(layer.weight, 0.0, 0.02)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)
