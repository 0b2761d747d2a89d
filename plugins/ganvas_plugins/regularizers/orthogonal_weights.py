"""``regularizer: orthogonal-weights``."""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganvas import Duel, Match, Regularizer, Scheduled
from ganvas_plugins.regularizers.parts import Players, sides_of


class OrthogonalWeights(Regularizer):
    """Keeps the filters of every convolution and dense layer orthogonal to one another.

        β Σ_W ‖W Wᵀ ⊙ (1 - I)‖²_F,    or with ``diagonal``    β Σ_W ‖W Wᵀ - I‖²_F,    β = ``weight``

    The rows of W are the filters of a layer, one per output channel, each with all its numbers. Without the diagonal
    only their angles count, not their lengths (BigGAN). Weights under a spectral normalisation count as they are before
    it; embeddings are left out, and so is what is not trained. BigGAN's code descends half the gradient of its
    equation: that is β = 5e-5.

    Raises:
        ValueError: a player that it acts on has no such layer.

    Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019,
    equation 3; with the diagonal Brock et al., "Neural Photo Editing with Introspective Adversarial Networks", 2017.
    """

    joins = sides_of("generator")

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="β, the strength")] = 1e-4,
        of: Players = "generator",
        diagonal: Annotated[bool, Field(description="hold the filters' lengths at 1 too")] = False,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        self.joins = sides_of(of)
        self.diagonal = diagonal
        for side in sorted(self.joins):
            player = getattr(duel, side)
            if not list(_filters(player)):
                others = sides_of("both") - {side}
                raise ValueError(
                    f"{type(player).__name__} has no convolution and no dense layer whose weights could be orthogonal; "
                    f"set of: {next(iter(others))}, or leave out orthogonal-weights"
                )

    def penalty(self, match: Match) -> Tensor:
        player = getattr(match.duel, match.side)
        return torch.stack([self._deviation(filters) for filters in _filters(player)]).sum()

    def _deviation(self, filters: Tensor) -> Tensor:
        # Under bfloat16 products would be known to two digits only.
        with torch.autocast(filters.device.type, enabled=False):
            products = filters @ filters.T
            identity = torch.eye(len(filters), device=filters.device, dtype=filters.dtype)
            return (products - (identity if self.diagonal else identity * products)).square().sum()


def _filters(network: nn.Module) -> Iterator[Tensor]:
    """The trained weights of the layers, each as (outputs, numbers of a filter)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            weight = layer.parametrizations.weight.original if is_parametrized(layer, "weight") else layer.weight
            if weight.requires_grad:
                transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
                yield (weight.transpose(0, 1) if transposed else weight).flatten(1)
