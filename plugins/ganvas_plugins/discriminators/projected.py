"""``discriminator: projected``."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganvas import Backbone, Critique, Discriminator, Encoder, Head, Trained, Use
from ganvas_plugins.discriminators.trunk import gives_more_than_scores
from ganvas_plugins.frozen import FrozenMaps
from ganvas_plugins.layers import normalise_spectrally


class ProjectedDiscriminator(Discriminator):
    """Judges random projections of a frozen network's feature maps, with one small discriminator per scale.

    The maps f_1 (finest) to f_L (coarsest) are projected by fixed random convolutions A_l (1x1, channels mix) and B_l
    (3x3, scales mix), U is bilinear upsampling to the next finer map::

        m_L = A_L f_L,    m_l = A_l f_l + U(B_l m_{l+1})
        scores = all places of D_1(m_1), ..., D_L(m_L), side by side

    so a loss averages what the paper sums over the discriminators: each D_l halves its map until the shorter side is 4
    to 7 places (4x4 convolutions of stride 2; a 3x3 one where the map is that small already), with spectral
    normalisation in every layer and leaky ReLU (0.2), then the head scores every place. From 8 places on all scales
    weigh alike where sides halve evenly; smaller maps have fewer scores and weigh less. Without batch norm a score is
    one sample's own.

    Scores (N, P), features (N, ``channels``, P) with the P places of all scales, ``layers`` by scale. Only the D_l are
    trained: the network stays in eval mode, and neither it nor the projections change; both are saved with the stage.
    Gradients pass through to the samples. Conditional only where its head is.

    Raises:
        ValueError: the network cannot take the images or has no such layer, or the head gives more than scores.

    Source: Sauer, Chitta, Müller & Geiger, "Projected GANs Converge Faster", 2021, section 3 (equation 4, with its
    cross-channel and cross-scale mixing).
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        network: Annotated[
            Use[Backbone] | Trained[Encoder],
            Field(
                description="the frozen network: a backbone, pretrained at best, or the stage that trained an encoder"
            ),
        ],
        layers: Annotated[
            list[str] | None,
            Field(min_length=1, description="names of the feature maps to judge; the last four if none"),
        ] = None,
        mixing: Annotated[
            Literal["scales", "channels", "none"],
            Field(description="what the random projections mix: channels and scales, channels only, or nothing"),
        ] = "scales",
        channels: Annotated[int, Field(ge=1, description="channels in each of the small discriminators")] = 256,
        head: Annotated[Use[Head], Field(description="what turns each scale's features into scores")] = "linear",
    ) -> None:
        super().__init__()
        self.maps = FrozenMaps(network, shape, layers)
        if layers is None:
            self.maps.shapes = dict(list(self.maps.shapes.items())[-_SCALES:])
        self.projection = RandomProjection([size[0] for size in self.maps.shapes.values()], mixing)
        self.judges = nn.ModuleList(
            nn.Sequential(_trunk(size, channels), head(channels, condition)) for size in self.maps.shapes.values()
        )
        self.layers = tuple(self.maps.shapes)
        self.conditional = any(judge[1].conditional for judge in self.judges)
        for judge in self.judges:
            if gives_more_than_scores(judge[1]):
                raise ValueError(
                    "projected has a head for each scale and puts their scores side by side; it cannot do so with what "
                    f"else {type(judge[1]).__name__} gives; use head: linear"
                )
        normalise_spectrally(self.judges)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        maps = self.maps(samples)
        features = [judge[0](value) for judge, value in zip(self.judges, self.projection(list(maps.values())))]
        scores = [judge[1](value, condition).scores for judge, value in zip(self.judges, features)]
        return Critique(
            torch.cat([part.reshape(len(samples), -1) for part in scores], dim=1),
            features=torch.cat([part.flatten(2) for part in features], dim=2),
            layers=dict(zip(maps, features)),
        )


class RandomProjection(nn.Module):
    """Fixed random convolutions over feature maps, which keep each map's size and channels.

    Args:
        widths: channels of each map, from the finest to the coarsest.
        mixing: ``none`` gives the maps as they are, ``channels`` leaves out the B_l.
    """

    def __init__(self, widths: Sequence[int], mixing: str) -> None:
        super().__init__()
        mixed, coarser = (widths if mixing != "none" else ()), (pairwise(widths) if mixing == "scales" else ())
        self.channels = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for width in mixed)
        self.scales = nn.ModuleList(nn.Conv2d(coarse, fine, 3, padding=1, bias=False) for fine, coarse in coarser)
        for layer in [*self.channels, *self.scales]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")  # none is followed by a ReLU
        self.requires_grad_(False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (N, F_l, H_l, W_l), from the finest to the coarsest -> as many of the same shapes."""
        mixed = [channel(value) for channel, value in zip(self.channels, maps)] or list(maps)
        for level in reversed(range(len(self.scales))):
            coarser = self.scales[level](mixed[level + 1])
            mixed[level] = mixed[level] + interpolate(coarser, mixed[level].shape[-2:], mode="bilinear")
        return mixed


def _trunk(size: tuple[int, ...], channels: int) -> nn.Sequential:
    """Convolutions that halve a map (F, H, W) until its shorter side is 4 to 7 places; one that keeps a small map."""
    inputs, shorter = size[0], min(size[-2:])
    layers: list[nn.Module] = []
    while shorter >= 2 * _PLACES:
        layers += [nn.Conv2d(inputs, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        inputs, shorter = channels, shorter // 2
    return nn.Sequential(*(layers or [nn.Conv2d(inputs, channels, 3, padding=1), nn.LeakyReLU(0.2)]))


_SCALES = 4  # feature maps of the paper
_PLACES = 4  # scores each way of the paper
