"""Feature maps of a network that stays as it is: what components that look through one share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganvas import Backbone, Encoder, Trained, Use

__all__ = ["FrozenMaps"]


class FrozenMaps(nn.Module):
    """Images (N, C, H, W) in [-1, 1] -> named feature maps (N, F_l, H_l, W_l) of a frozen network.

    Frozen means: in eval mode whatever mode it is put into, no parameter asks for a gradient, gradients pass through to
    the images. A backbone is part of the state of what holds it; the encoder of an earlier stage is not, as the engine
    keeps what a stage uses.

    Attributes:
        shapes: name -> (F_l, H_l, W_l) of each map that is given, from the finest to the coarsest.

    Args:
        network: a backbone to build, or an encoder that an earlier stage trained.
        shape: (C, H, W) of the images.
        layers: names of the maps to give; all where None.

    Raises:
        ValueError: the network cannot take such images, offers no feature maps, or has no layer of that name.
    """

    def __init__(
        self, network: Use[Backbone] | Trained[Encoder], shape: Sequence[int], layers: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        # A Trained network is no nn.Module: held by an attribute, it is none of this one's parameters.
        self.network = network if isinstance(network, Trained) else network(tuple(shape))
        self.requires_grad_(False)
        self.train(False)
        found = self._shapes(shape)
        if unknown := [name for name in layers or () if name not in found]:
            raise ValueError(f"{self._name} has no layer {' and no '.join(unknown)}; choose from {', '.join(found)}")
        self.shapes = {name: size for name, size in found.items() if layers is None or name in layers}

    def train(self, mode: bool = True) -> FrozenMaps:
        """Stays in eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.network.feature_maps(images)
        return {name: maps[name] for name in self.shapes}

    @property
    def _name(self) -> str:
        return getattr(self.network, "component_name", "the network")

    @torch.no_grad()
    def _shapes(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Which maps there are, seen from one image."""
        weight = next(iter(self.network.parameters()), torch.empty(()))
        try:
            maps = self.network.feature_maps(torch.zeros(1, *shape, device=weight.device))
        except NotImplementedError as error:
            raise ValueError(f"{self._name} offers no feature maps; use another network, timm's say") from error
        except (AssertionError, RuntimeError) as error:
            size, reason = "x".join(map(str, shape)), str(error).partition("\n")[0]
            raise ValueError(
                f"{self._name} cannot take images of {size} (channels, height, width): {reason}; "
                "use a network made for them, or change the dataset's size"
            ) from error
        return {layer: tuple(value.shape[1:]) for layer, value in maps.items()}
