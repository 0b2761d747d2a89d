"""``regularizer: historical-averaging``."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Duel, Match, Regularizer, Scheduled
from ganvas_plugins.regularizers.parts import Players, sides_of


class HistoricalAveraging(Regularizer):
    """Draws each player back to the mean of all it has been, so that the two do not circle their equilibrium.

        λ ‖θ - (1/t) Σᵢ₌₁ᵗ θᵢ‖²,    λ = ``weight``

    θ are all trained parameters of a player and θᵢ what they were in its i-th step with this term, of which this is the
    t-th. The mean is a constant of the gradient, 2 λ (θ - mean), and kept in buffers, as many numbers as the players
    have. The paper names no λ.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016, section 3.3.
    """

    joins = sides_of("both")

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 1.0,
        of: Players = "both",
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        self.joins = sides_of(of)

    def prepare(self, networks: Mapping[str, nn.Module]) -> None:
        for side in self.joins:
            self.register_buffer(side, torch.zeros_like(_trained(networks[side]).detach()))
            self.register_buffer(f"{side}_steps", torch.zeros((), dtype=torch.int64))

    def penalty(self, match: Match) -> Tensor:
        player = getattr(match.duel, match.side)
        now, mean, steps = _trained(player), getattr(self, match.side), getattr(self, f"{match.side}_steps")
        with torch.no_grad():
            steps += 1
            mean.lerp_(now, 1 / steps)
        return (now - mean).square().sum()


def _trained(player: nn.Module) -> Tensor:
    """All parameters that ask for a gradient, (P,): those of the update that runs, and all but frozen ones at first."""
    return torch.cat([parameter.flatten() for parameter in player.parameters() if parameter.requires_grad])
