"""What several of the bundled networks are made of: sizes that halve, norms, initial weights, conditions as maps."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

__all__ = ["beside", "halvings", "initialise", "normalisation", "normalise_spectrally"]


def halvings(shape: tuple[int, ...]) -> int:
    """How often images of this shape are halved until their shorter side is 4 to 7 pixels.

    Both sides must divide evenly: 32x32 gives 3 (a base of 4x4), 28x28 gives 2 (7x7), 48x64 gives 3 (6x8).

    Raises:
        ValueError: the sides do not divide, or are shorter than 8; it names the nearest sizes that fit.
    """
    height, width = shape[-2:]
    if _fits(height, width):
        return _depth(height, width)
    step = 2 ** max(1, _depth(height, width))
    nearest = [(height // step * step, width // step * step), _at_least(height, width)]
    sizes = " or ".join(f"[{h}, {w}]" for h, w in nearest if _fits(h, w))
    raise ValueError(
        f"images of {height}x{width} cannot be halved down to a shorter side of 4 to 7 pixels; "
        f"set the dataset's size to {sizes}"
    )


def _depth(height: int, width: int) -> int:
    return int(math.log2(max(1, min(height, width) // 4)))


def _fits(height: int, width: int) -> bool:
    step = 2 ** _depth(height, width)
    return min(height, width) >= 8 and height % step == 0 and width % step == 0


def _at_least(height: int, width: int) -> tuple[int, int]:
    height, width = max(8, height), max(8, width)
    while not _fits(height, width):
        step = 2 ** _depth(height, width)
        height, width = math.ceil(height / step) * step, math.ceil(width / step) * step
    return height, width


def normalisation(norm: str, channels: int) -> nn.Module:
    """The layer that an option ``norm`` names: ``batch``, ``instance`` (no learned scale and shift) or ``none``."""
    return {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d, "none": nn.Identity}[norm](channels)


def initialise(network: nn.Module) -> None:
    """Draws weights from N(0, 0.02) and gains of batch norm from N(1, 0.02), sets biases to zero (DCGAN's choice)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def normalise_spectrally(network: nn.Module, iterations: int = 1) -> None:
    """Divides the weight of every convolution, dense layer and embedding by an estimate of its largest singular value.

    The estimate takes ``iterations`` steps of the power method in every forward pass while training, none in eval mode;
    its vectors are buffers. What is normalised already stays as it is.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, Algorithm 1.
    """
    for layer in list(network.modules()):
        wanted = isinstance(layer, nn.modules.conv._ConvNd | nn.Linear | nn.Embedding)
        if wanted and not is_parametrized(layer, "weight"):
            spectral_norm(layer, n_power_iterations=iterations, eps=1e-12)


def beside(images: Tensor, condition: Tensor) -> Tensor:
    """(N, C, H, W) and (N, K) -> (N, C + K, H, W): each number of the condition becomes a constant map."""
    maps = condition.flatten(1).to(images.dtype)[:, :, None, None]
    return torch.cat([images, maps.expand(-1, -1, *images.shape[-2:])], dim=1)
