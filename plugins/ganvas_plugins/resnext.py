"""The residual block of R3GAN, which its generator and its discriminator share."""

import math

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

__all__ = ["ResNextBlock", "draw"]


def draw(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """Draws a layer's weight from N(0, gain² / fan-in)."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    return layer


class ResNextBlock(nn.Module):
    """An inverted bottleneck of three convolutions around a skip, without normalisation; (N, C, H, W) stays so.

        y = x + W₃ φ(W₂ φ(W₁ x + b₁) + b₂),    φ leaky ReLU (0.2)

    W₁ (1x1) widens by ``expansion``, W₂ (3x3) convolves groups of ``group_size`` channels, W₃ (1x1) narrows. W₃ starts
    at zero, so a block is the identity then; W₁ and W₂ start from N(0, gain² / fan-in) with
    gain = √(2 / 1.04) · L^{-1/4}, L the residual blocks of the whole network (``blocks``).

    Raises:
        ValueError: the wide map does not divide into such groups.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024, section 4; the initial
    weights from Zhang, Dauphin and Ma, "Fixup Initialization", 2019.
    """

    def __init__(self, channels: int, *, expansion: int, group_size: int, blocks: int) -> None:
        super().__init__()
        wide = channels * expansion
        if wide % group_size:
            fitting = max(size for size in range(1, min(group_size, wide) + 1) if wide % size == 0)
            raise ValueError(
                f"{wide} channels ({channels} widened by {expansion}) do not divide into groups of {group_size}; "
                f"set group_size to {fitting}"
            )
        gain = math.sqrt(2 / (1 + 0.2**2)) * blocks**-0.25
        self.widen = draw(nn.Conv2d(channels, wide, 1), gain)
        self.mix = draw(nn.Conv2d(wide, wide, 3, padding=1, groups=wide // group_size), gain)
        self.narrow = draw(nn.Conv2d(wide, channels, 1, bias=False), 0.0)
        nn.init.zeros_(self.widen.bias)
        nn.init.zeros_(self.mix.bias)

    def forward(self, maps: Tensor) -> Tensor:
        wide = leaky_relu(self.mix(leaky_relu(self.widen(maps), 0.2)), 0.2)
        return maps + self.narrow(wide)
