"""What several of the bundled networks are made of: sizes that halve, norms, initial weights, conditions as maps."""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

__all__ = [
    "ConditionalBatchNorm",
    "SpectralNorm",
    "beside",
    "halvings",
    "initialise",
    "normalisation",
    "normalise_spectrally",
    "weight_layers",
]


def halvings(shape: tuple[int, ...], base: int | None = None) -> int:
    """How often images of this shape are halved until their shorter side is ``base`` pixels, or 4 to 7 if None.

    Both sides must divide evenly: 32x32 gives 3 (a base of 4x4), 28x28 gives 2 (7x7), 48x64 gives 3 (6x8).

    Raises:
        ValueError: the sides do not divide, or are shorter than 8; it names the nearest sizes that fit. Or halving
            does not lead to ``base``; it names the numbers that it leads to.
    """
    height, width = shape[-2:]
    if base is not None:
        bases = [min(height, width) >> n for n in range(1, 32) if not height % 2**n and not width % 2**n]
        if base in bases:
            return bases.index(base) + 1
        if bases:
            raise ValueError(
                f"halving images of {height}x{width} does not lead to a shorter side of {base}; "
                f"set base to {' or '.join(map(str, sorted(bases)))}"
            )
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


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and shift depend on a condition: y = (1 + A c) x̂ + B c, x̂ normalised over the batch.

    A and B start at zero, so the gain is 1 and the shift 0 under every condition; for a one-hot c they are the gains
    and shifts of its class. ``inputs`` is the width of c; with 0 it is plain batch norm. With ``spectral_norm`` A and B
    start orthogonal and are normalised spectrally, as in BigGAN.

    Source: Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style", 2017, equation 5; in GANs Miyato
    and Koyama, "cGANs with Projection Discriminator", 2018.
    """

    def __init__(self, channels: int, inputs: int, spectral_norm: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=inputs == 0)
        self.linear = nn.ModuleDict()
        for name in ("gain", "shift") if inputs else ():
            layer = self.linear[name] = nn.Linear(inputs, channels, bias=False)
            if spectral_norm:
                nn.init.orthogonal_(layer.weight)
                _normalise(layer, 1)
            else:
                nn.init.zeros_(layer.weight)

    def forward(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and (N, K) or None -> (N, C, H, W)."""
        maps = self.norm(maps)
        if not self.linear:
            return maps
        gain, shift = (self.linear[name](condition)[:, :, None, None] for name in ("gain", "shift"))
        return torch.addcmul(shift, maps, 1 + gain)


class SpectralNorm(nn.Module):
    """A weight divided by an estimate of its largest singular value: W / σ, σ = uᵀ W v.

    W is the weight with one row per output. In training every use of the weight first takes ``iterations`` steps of the
    power method, v ← Wᵀu / ‖Wᵀu‖, u ← W v / ‖W v‖; in eval mode u and v, which are buffers, stay. The gradient goes
    through σ, with u and v held constant. Always in float32. A weight that is zero, as the last layers of some residual
    blocks are at first, stays as it is.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, Algorithm 1.
    """

    def __init__(self, weight: Tensor, iterations: int, transposed: bool) -> None:
        super().__init__()
        self.iterations = iterations
        self.transposed = transposed
        matrix = self.matrix(weight.detach())
        self.register_buffer("u", normalize(torch.randn(matrix.shape[0], device=weight.device), dim=0))
        self.register_buffer("v", normalize(torch.randn(matrix.shape[1], device=weight.device), dim=0))
        self.improve(matrix, 0 if weight.is_meta else _FIRST_ITERATIONS)

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix, one row per output; no copy where it lies channels-last."""
        return (weight.transpose(0, 1) if self.transposed else weight).movedim(1, -1).flatten(1)

    @torch.no_grad()
    def improve(self, matrix: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        """Steps of the power method; what it returns is not the buffers, which the next forward pass overwrites."""
        u, v = self.u, self.v
        for _ in range(iterations):
            v = _direction(matrix.T @ u, v)
            u = _direction(matrix @ v, u)
        self.u.copy_(u)
        self.v.copy_(v)
        return u, v

    def forward(self, weight: Tensor) -> Tensor:
        with _float32(weight.device.type):
            matrix = self.matrix(weight)
            u, v = self.improve(matrix, self.iterations) if self.training else (self.u, self.v)
            largest = torch.dot(u, matrix @ v)
            return weight / torch.where(largest > _SMALL, largest, torch.ones_like(largest))


def _direction(moved: Tensor, before: Tensor) -> Tensor:
    """A vector at unit length; the one before it where nothing is left of it, as under a weight of zeros."""
    return torch.where(moved.norm() > _SMALL, normalize(moved, dim=0, eps=_SMALL), before)


_FIRST_ITERATIONS = 15  # steps of the power method when it is put on: the first forward pass finds a good estimate
_SMALL = 1e-12


def _float32(device: str) -> AbstractContextManager:
    """Switches autocast off; the meta device, where networks are checked, has none."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def weight_layers(network: nn.Module) -> list[nn.Module]:
    """Every convolution, dense layer and embedding of a network that is trained, but for conditional batch norm's.

    Those start at zero, where there is no largest singular value. What a head keeps as a parameter of its own (SAN's
    direction) is no layer.
    """
    kept = {
        id(layer) for part in network.modules() if isinstance(part, ConditionalBatchNorm) for layer in part.modules()
    }
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear | nn.Embedding)
        and id(layer) not in kept
        and any(parameter.requires_grad for parameter in layer.parameters())
    ]


def normalise_spectrally(network: nn.Module, iterations: int = 1) -> None:
    """Puts ``SpectralNorm`` on the weights of all ``weight_layers``; what is normalised already stays as it is."""
    for layer in weight_layers(network):
        if not is_parametrized(layer, "weight"):
            _normalise(layer, iterations)


def _normalise(layer: nn.Module, iterations: int) -> None:
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    register_parametrization(layer, "weight", SpectralNorm(layer.weight, iterations, transposed))


def beside(images: Tensor, condition: Tensor) -> Tensor:
    """(N, C, H, W) and (N, K) -> (N, C + K, H, W): each number of the condition becomes a constant map."""
    maps = condition.flatten(1).to(images.dtype)[:, :, None, None]
    return torch.cat([images, maps.expand(-1, -1, *images.shape[-2:])], dim=1)
