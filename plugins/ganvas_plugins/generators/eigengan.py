"""``generator: eigengan``."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from ganvas import Generator, Latents
from ganvas_plugins.layers import halvings


class EigenGan(Generator):
    """Layer-wise linear subspaces: each layer has few latent axes of its own, which learn what that layer can vary.

    The condition y (N, K) and noise ε (N, E) make a small map: h = fc(fc([fc(y), ε])). Each block then doubles it, and
    adds a point φ of its own subspace at both of its resolutions (``EigenBlock``); at last leaky ReLU, a 7x7
    convolution and tanh. Nothing is normalised. The latents are the groups ``noise``, ``layer0``, ``layer1``, ..., all
    normal; the first layers' axes change the large things (pose, kind), the last ones' colours. Without a condition it
    is plain EigenGAN. Images may be of any size that is a base of 4 to 7 pixels doubled a few times, square or not;
    others raise ``ValueError``. Train it with ``regularizer: orthogonality``.

    Source: He, Kan and Shan, "EigenGAN: Layer-Wise Eigen-Learning for GANs", 2021, equations 1 to 5; the condition from
    Kinakh et al., "InfoSCC-GAN: Stochastic Contrastive Conditional GAN for conditional image generation based on
    clustering and contrastive learning", 2021.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        basis: Annotated[int, Field(ge=1, description="axes of each layer's subspace")] = 6,
        channels: Annotated[int, Field(ge=1, description="channels at full resolution; doubled at each halving")] = 16,
        max_channels: Annotated[int, Field(ge=1, description="no layer is wider than this")] = 512,
        noise: Annotated[int, Field(ge=1, description="numbers of the unstructured noise under all layers")] = 512,
        hidden: Annotated[int, Field(ge=1, description="width between the two dense layers that make the base")] = 512,
        orthonormal: Annotated[
            bool, Field(description="orthonormalise the bases in every forward, in place of the orthogonality term")
        ] = False,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        height, width = shape[-2] >> depth, shape[-1] >> depth
        widths = [min(max_channels, channels * 2**level) for level in reversed(range(depth + 1))]
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"noise": noise} | {f"layer{layer}": basis for layer in range(depth)})
        given = math.prod(condition) if condition is not None else 0
        self.embed = nn.Linear(given, given) if given else None
        self.base = nn.Sequential(
            nn.Linear(given + noise, hidden),
            nn.Linear(hidden, widths[0] * height * width),
            nn.Unflatten(1, (widths[0], height, width)),
        )
        self.blocks = nn.ModuleList(
            EigenBlock((widths[i], height << i, width << i), widths[i + 1], basis, orthonormal) for i in range(depth)
        )
        self.image = nn.Conv2d(widths[-1], shape[0], 7, padding=3)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        noise, *points = self.latents.split(latents).values()
        if self.embed is not None:
            noise = torch.cat([self.embed(condition.flatten(1)), noise], dim=1)
        maps = self.base(noise)
        for block, point in zip(self.blocks, points, strict=True):
            maps = block(maps, point)
        return torch.tanh(self.image(leaky_relu(maps, 0.2)))


class Subspace(nn.Module):
    """A learned affine subspace of maps (C, H, W): φ(z) = Σ_j z_j L_j U_j + μ.

    Attributes:
        basis_vectors: U (B, C·H·W), the axes; orthonormal at the start, kept so by a penalty (or always, where
            ``orthonormal`` is set). What carries this attribute is what ``regularizer: orthogonality`` looks for.
        scales: L (B,), how much each axis matters; starts at 3B, ..., 6, 3.
        origin: μ (C·H·W,), starts at zero.
    """

    def __init__(self, basis: int, shape: tuple[int, int, int], orthonormal: bool = False) -> None:
        super().__init__()
        size = math.prod(shape)
        if basis > size:
            raise ValueError(f"a layer of {size} numbers has no {basis} orthogonal axes; set basis to {size} or less")
        self.shape = shape
        self.orthonormal = orthonormal
        self.axes = nn.Parameter(nn.init.orthogonal_(torch.empty(basis, size)))
        self.scales = nn.Parameter(3.0 * torch.arange(basis, 0, -1))
        self.origin = nn.Parameter(torch.zeros(size))

    @property
    def basis_vectors(self) -> Tensor:
        if not self.orthonormal:
            return self.axes
        # QR with a positive diagonal is what Gram and Schmidt's procedure gives.
        basis, triangle = torch.linalg.qr(self.axes.T)
        return (basis * triangle.diagonal().sign()).T

    def generators(self) -> Tensor:
        """The maps that every point is a combination of: the axes and the origin, (B + 1, C, H, W)."""
        return torch.cat([self.basis_vectors, self.origin[None]]).unflatten(1, self.shape)

    def coordinates(self, latents: Tensor) -> Tensor:
        """A point's weights of the generators: (N, B) -> (N, B + 1), the last one 1."""
        return pad(latents * self.scales, (0, 1), value=1.0)

    def forward(self, latents: Tensor) -> Tensor:
        """φ: (N, B) -> (N, C, H, W)."""
        return combine(self.coordinates(latents), self.generators())


class EigenBlock(nn.Module):
    """Doubles a map and lets a point φ of its subspace in at both resolutions.

        h ← T₂(leaky(h + T₁(φ))),    h ← T₃(leaky(h + T₄(φ)))

    T₁ is a 1x1 transposed convolution, T₂ and T₄ are 3x3 with stride 2, T₃ is 3x3. T₁ and T₄ have no bias: they stand
    in a sum with a layer that has one.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, basis: int, orthonormal: bool) -> None:
        super().__init__()
        doubling = {"stride": 2, "padding": 1, "output_padding": 1}
        self.subspace = Subspace(basis, shape, orthonormal)
        self.enter_small = nn.ConvTranspose2d(shape[0], shape[0], 1, bias=False)
        self.up = nn.ConvTranspose2d(shape[0], channels, 3, **doubling)
        self.enter_large = nn.ConvTranspose2d(shape[0], channels, 3, bias=False, **doubling)
        # A transposed convolution of stride 1 is a convolution (its kernel mirrored), which runs faster written as one.
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor, latents: Tensor) -> Tensor:
        # T₁ and T₄ are linear, so it is enough to convolve the B + 1 maps that span the subspace, not one per sample.
        coordinates, generators = self.subspace.coordinates(latents), self.subspace.generators()
        maps = maps + combine(coordinates, self.enter_small(generators))
        maps = self.up(leaky_relu(maps, 0.2))
        maps = maps + combine(coordinates, self.enter_large(generators))
        return self.refine(leaky_relu(maps, 0.2))


def combine(coordinates: Tensor, maps: Tensor) -> Tensor:
    """Weighted sums of maps: (N, B) and (B, C, H, W) -> (N, C, H, W)."""
    return (coordinates @ maps.flatten(1)).unflatten(1, maps.shape[1:])
