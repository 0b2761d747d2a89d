"""``generator: stylegan2``."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from ganvas import Generator, Latents, gather
from ganvas_plugins.equalised import ScaledLeakyReLU, equalise, pixel_norm
from ganvas_plugins.layers import halvings
from ganvas_plugins.resampling import Filter


class StyleGan2(Generator):
    """A mapping network makes styles of the latents, and every convolution of the synthesis network is scaled by one.

    w = f(z / rms(z)), a row of dense layers; under a condition y their input is (z / rms(z), e(y) / rms(e(y))) with a
    linear e. From a learned constant of 4 to 7 pixels, each level doubles the map by a modulated 3x3 convolution and
    refines it by another; both add noise, n · strength, then a bias and leaky ReLU (0.2) times √2. At each resolution a
    modulated 1x1 convolution gives an image, and these are doubled and summed. Filters are [1, 3, 3, 1]; weights have
    an equalised learning rate. There are L = 2 · levels + 2 styles: an image shares that of the next level's first
    layer.

    While training, a share ``mixing`` of the samples takes its styles after a random layer from a second z; the noise
    is drawn anew; and w̄, the mean of w that truncation pulls to, follows with ``average_decay``. In eval mode the noise
    is constant, and images are clamped to [-1, 1]; while training they are not, as nothing bounds the last layer. The
    paper's config F has ``channels`` 32 for 1024x1024 images, 64 for 512x512, 128 for 256x256. Sizes that are no such
    base doubled a few times raise ``ValueError``.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, sections 2 to 4 and appendix
    B; mapping, mixing and truncation from "A Style-Based Generator Architecture for Generative Adversarial Networks",
    2019, sections 2 and 3.1 and appendix B.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        latent: Annotated[int, Field(ge=1, description="numbers a sample is drawn from")] = 512,
        style: Annotated[int, Field(ge=1, description="numbers of a style")] = 512,
        mapping_layers: Annotated[int, Field(ge=1, description="dense layers from latents to styles")] = 8,
        mapping_rate: Annotated[
            float, Field(gt=0, description="how fast these learn, relative to other layers")
        ] = 0.01,
        channels: Annotated[int, Field(ge=1, description="channels at full resolution; doubled at each halving")] = 32,
        max_channels: Annotated[int, Field(ge=1, description="no layer is wider than this")] = 512,
        noise: Annotated[bool, Field(description="add noise after each convolution")] = True,
        mixing: Annotated[
            float, Field(ge=0, le=1, description="share of samples whose styles come from two latents while training")
        ] = 0.9,
        average_decay: Annotated[
            float, Field(ge=0, le=1, description="what the mean style keeps of itself in each forward while training")
        ] = 0.995,
    ) -> None:
        super().__init__()
        depth = halvings(shape)
        base = (shape[-2] >> depth, shape[-1] >> depth)
        widths = [min(max_channels, channels * 2**level) for level in reversed(range(depth + 1))]
        self.sample_shape = tuple(shape)
        self.conditional = condition is not None
        self.latents = Latents({"z": latent})
        self.mixing, self.average_decay = mixing, average_decay
        self.number = 2 * depth + 2
        self.embed = equalise(nn.Linear(math.prod(condition), latent)) if condition is not None else None
        sizes = [latent * (1 if condition is None else 2), *[style] * mapping_layers]
        mapping = [nn.Sequential(nn.Linear(sizes[layer], style), ScaledLeakyReLU()) for layer in range(mapping_layers)]
        self.mapping = equalise(nn.Sequential(*mapping), mapping_rate)
        self.register_buffer("mean_style", torch.zeros(style))
        self.constant = nn.Parameter(torch.randn(1, widths[0], *base))
        self.first = StyledLayer(widths[0], widths[0], base, style, noise=noise)
        self.levels = nn.ModuleList()
        self.images = nn.ModuleList([ToImage(widths[0], shape[0], style)])
        for level in range(1, depth + 1):
            size = (base[0] << level, base[1] << level)
            inputs, width = widths[level - 1], widths[level]
            up = StyledLayer(inputs, width, size, style, noise=noise, up=True)
            self.levels.append(nn.ModuleList([up, StyledLayer(width, width, size, style, noise=noise)]))
            self.images.append(ToImage(width, shape[0], style))
        self.enlarge = Filter(_TAPS, "up")

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.synthesize(self.styles(latents, condition))

    def styles(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, D) and (N, K) or None -> a style for each layer, (N, L, ``style``); mixed while training."""
        styles = self._map(latents, condition)
        if not self.training:
            return styles[:, None].expand(-1, self.number, -1)
        with torch.no_grad():
            mean = gather(styles.detach().float()).mean(0)
            self.mean_style.lerp_(mean, 1 - self.average_decay)
        if self.mixing == 0:
            return styles[:, None].expand(-1, self.number, -1)
        others = self._map(torch.randn_like(latents), condition)
        mixed = torch.rand(len(latents), device=latents.device) < self.mixing
        crossover = torch.randint(1, self.number, (len(latents),), device=latents.device)
        return mix(styles, others, torch.where(mixed, crossover, self.number), self.number)

    def _map(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        given = pixel_norm(latents)
        if self.embed is not None:
            given = torch.cat([given, pixel_norm(self.embed(condition.flatten(1)))], dim=1)
        return self.mapping(given)

    def synthesize(self, styles: Tensor) -> Tensor:
        """Styles (N, L, ``style``) -> samples (N, C, H, W)."""
        maps = self.first(self.constant.expand(styles.shape[0], -1, -1, -1), styles[:, 0])
        image = self.images[0](maps, styles[:, 1])
        for level, (up, refine) in enumerate(self.levels, start=1):
            maps = refine(up(maps, styles[:, 2 * level - 1]), styles[:, 2 * level])
            image = self.enlarge(image) + self.images[level](maps, styles[:, 2 * level + 1])
        return image if self.training else image.clamp(-1, 1)

    def truncated(self, latents: Tensor, condition: Tensor | None, strength: float) -> Tensor:
        """Samples whose styles are pulled to the mean style: w' = w̄ + ψ (w - w̄), ψ = ``strength``, in all layers."""
        return self.synthesize(torch.lerp(self.mean_style, self.styles(latents, condition), strength))


_TAPS = (1, 3, 3, 1)


def mix(styles: Tensor, others: Tensor, crossover: Tensor, number: int) -> Tensor:
    """(N, W) twice and (N,) -> (N, L, W): the first ones in each row's layers before its crossover, then the others."""
    own = torch.arange(number, device=styles.device) < crossover[:, None]
    return torch.where(own[..., None], styles[:, None], others[:, None])


class ModulatedConvolution(nn.Module):
    """A convolution whose weights each sample scales by a style of its own.

        s = A(w),    w'_oik = s_i w_oik,    w''_oik = w'_oik / √(Σ_ik w'_oik² + ε)   (demodulated)

    with a learned affine A whose bias starts at 1. Scaling what comes in by s and what goes out by the square root's
    inverse is the same as convolving with w'', and needs one weight for the batch, not one for each sample. ``up``
    doubles the map: a transposed convolution of stride 2, then the filter.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, equations 1 to 3.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, *, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.affine = nn.Linear(style, inputs)
        self.convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        equalise(self)
        nn.init.ones_(self.affine.bias)
        self.demodulate = demodulate
        self.filter = Filter(_TAPS, "same", gain=4) if up else None

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """(N, I, H, W) and (N, W) -> (N, O, H, W), or (N, O, 2H, 2W)."""
        scales, weight = self.affine(style), self.convolution.weight
        maps = maps * scales.to(maps.dtype)[:, :, None, None]
        if self.filter is not None:
            maps = self.filter(conv_transpose2d(maps, weight.transpose(0, 1), stride=2))
        else:
            maps = conv2d(maps, weight, padding=self.convolution.padding)
        if self.demodulate:
            maps = maps * demodulation(scales, weight).to(maps.dtype)[:, :, None, None]
        return maps


def demodulation(scales: Tensor, weight: Tensor) -> Tensor:
    """1 / √(Σ_ik (s_i w_oik)² + ε), ε = 1e-8: (N, I) and (O, I, k, k) -> (N, O), in float32."""
    # A product of float64 is the one that autocast leaves alone.
    squares = scales.double().square() @ weight.double().square().sum((2, 3)).T
    return torch.rsqrt(squares + 1e-8).float()


class StyledLayer(nn.Module):
    """A modulated 3x3 convolution, noise, bias and leaky ReLU.

    The noise is drawn anew in each forward while training; in eval mode it is that of a buffer, drawn once.
    """

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], style: int, *, noise: bool, up: bool = False
    ) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 3, style, up=up)
        self.strength = nn.Parameter(torch.zeros(())) if noise else None
        self.register_buffer("noise", torch.randn(1, 1, *size) if noise else None)
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.activation = ScaledLeakyReLU()

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        maps = self.convolution(maps, style)
        if self.strength is not None:
            noise = self.noise
            if self.training:
                noise = torch.randn(len(maps), 1, *maps.shape[-2:], device=maps.device)
            maps = maps + (self.strength * noise).to(maps.dtype)
        return self.activation(maps + self.bias.to(maps.dtype))


class ToImage(nn.Module):
    """A map as an image of its resolution: a modulated 1x1 convolution that is not demodulated, and a bias."""

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, channels, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        # In float32: these are summed over all levels.
        return self.convolution(maps, style).float() + self.bias
