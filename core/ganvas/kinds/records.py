"""What components hand to one another: critiques, terms, latents, generated samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ganvas.kinds.algorithm import Step

__all__ = ["Critique", "Generated", "Latents", "Terms"]

Terms = dict[str, Tensor]
"""Named, already weighted scalars; the engine sums them, backpropagates the sum and logs each by its name."""


class Critique:
    """What a discriminator says about a batch.

    Attributes:
        scores: (N, *S), raw (no sigmoid); higher means more real. One per sample, or one per patch.
        features: (N, F, *S) or None, the trunk's last features.
        layers: named intermediate features, for losses and regularizers that match them.
        samples: (N, C, H, W), what was judged; filled in by the engine where the discriminator leaves it out.
        condition: what it was judged under, or None; filled in likewise.
        step: the moment it was judged in, or None; filled in likewise. What is scheduled is read at it.
        fields: whatever else a head gives (SAN's ``direction``, class logits), also readable as attributes.
    """

    def __init__(
        self,
        scores: Tensor,
        features: Tensor | None = None,
        layers: Mapping[str, Tensor] | None = None,
        condition: Tensor | None = None,
        samples: Tensor | None = None,
        step: Step | None = None,
        **fields: Any,
    ) -> None:
        self.scores = scores
        self.features = features
        self.layers = dict(layers or {})
        self.condition = condition
        self.samples = samples
        self.step = step
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"this critique has no {name!r}; its head gives {sorted(fields) or 'scores only'}")

    def __repr__(self) -> str:
        return f"Critique(scores {tuple(self.scores.shape)}, fields {sorted(self.fields)})"


class Generated:
    """Samples with what else the generator knows of them (a mask, a mean and variance).

    Attributes:
        samples: (N, C, H, W) in [-1, 1].
        fields: named tensors, also readable as attributes.
    """

    def __init__(self, samples: Tensor, **fields: Tensor) -> None:
        self.samples = samples
        self.fields = fields

    @classmethod
    def of(cls, made: Tensor | Generated) -> Generated:
        """What a generator made, which may be samples alone."""
        return made if isinstance(made, Generated) else cls(made)

    def __getattr__(self, name: str) -> Tensor:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"these samples carry no {name!r}, only {sorted(fields) or 'samples'}")


@dataclass(frozen=True)
class Latents:
    """What a generator draws its samples from: named groups of numbers that lie side by side in one flat tensor (N, D).

    Attributes:
        groups: name -> size, in order; ``{"z": 100}``, or EigenGAN's ``{"noise": 64, "layer0": 6, "layer1": 6}``.
        priors: name -> ``"normal"`` (mean 0, deviation 1; the default) or ``"uniform"`` (in [-1, 1]).
    """

    groups: Mapping[str, int]
    priors: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(self.groups.values())

    def slice(self, group: str) -> slice:
        """Where a group lies in the flat tensor."""
        start = 0
        for name, size in self.groups.items():
            if name == group:
                return slice(start, start + size)
            start += size
        raise KeyError(f"no group of latents is called {group!r}; there are {', '.join(self.groups)}")

    def split(self, latents: Tensor) -> dict[str, Tensor]:
        """The flat tensor (N, D) as its groups, each (N, size)."""
        return dict(zip(self.groups, latents.split(list(self.groups.values()), dim=1), strict=True))

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        """Draws (number, D) from the prior, on the generator's device."""
        parts = []
        for name, size in self.groups.items():
            if self.priors.get(name) == "uniform":
                part = torch.empty(number, size, device=rng.device).uniform_(-1, 1, generator=rng)
            else:
                part = torch.randn(number, size, generator=rng, device=rng.device)
            parts.append(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def truncate(self, latents: Tensor, strength: float) -> Tensor:
        """Pulls latents towards the prior's mean (zero); 1 changes nothing, 0 gives the mean."""
        return latents * strength

    def confine(self, latents: Tensor, share: float) -> Tensor:
        """Moves latents (N, D) to the same quantiles of the prior's innermost ``share``, in [0, 1].

        Each number comes out as one of the prior that was drawn again until it lay within a bound which ``share`` of
        all draws keep: √2 erf⁻¹(share) for a normal prior, ``share`` for a uniform one. 1 changes nothing, 0 gives the
        mean.
        """
        if share == 1:
            return latents
        moved = [
            part * share
            if self.priors.get(name) == "uniform"
            # In float64: the error function of a far tail is 1 in float32, and erf⁻¹(1) is infinite.
            else (math.sqrt(2) * torch.erfinv(share * torch.erf(part.double() / math.sqrt(2)))).to(part.dtype)
            for name, part in self.split(latents).items()
        ]
        return torch.cat(moved, dim=1)

    def interpolate(self, start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
        """The ways from latents to others: (N, D) and (N, D), at the shares t of each way, in [0, 1] -> (N, S, D).

        The shares are (S,), the same for all, or (N, S), each way's own.

        Every group goes by itself. A uniform one goes straight, (1 - t) a + t b. A normal one turns from the direction
        of a to that of b at an even speed, while its length goes straight: a straight way would lead through the
        middle, where such a prior has hardly any mass. With cos Ω = a·b / (|a| |b|),

            ((1 - t) |a| + t |b|) (sin((1 - t) Ω) a / |a| + sin(t Ω) b / |b|) / sin Ω.

        Where Ω is 0 or π, or a length is 0, nothing says which way to turn: it goes straight too. The ends are a and b
        to the bit.

        Source: White, "Sampling Generative Networks", 2016 (spherical interpolation; there the lengths are not
        separated from the directions, which is the same for equal lengths).
        """
        ways = [
            (_straight if self.priors.get(name) == "uniform" else _turning)(a.unsqueeze(1), b.unsqueeze(1), shares)
            for (name, a), b in zip(self.split(start).items(), self.split(end).values(), strict=True)
        ]
        return torch.cat(ways, dim=2)

    def reach(self, group: str) -> float:
        """How far from 0 a group's numbers are worth following: 4 deviations, or the ends of a uniform prior."""
        return 1.0 if self.priors.get(group) == "uniform" else 4.0

    def traverse(self, latents: Tensor, group: str, axis: int, values: Sequence[float]) -> Tensor:
        """One latent (1, D) -> (len(values), D): the group's axis takes each value, everything else stays."""
        moved = latents.expand(len(values), -1).clone()
        moved[:, self.slice(group).start + axis] = torch.as_tensor(values, dtype=latents.dtype, device=latents.device)
        return moved


def _straight(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """(N, 1, D) twice, (S,) or (N, S) -> (N, S, D); lerp gives the ends to the bit, no change where there is none."""
    return torch.lerp(start, end, shares.to(start).unsqueeze(-1))


def _turning(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """The same on a sphere whose radius goes straight."""
    # In float64: the angle of two near directions is lost in float32.
    a, b, t = start.double(), end.double(), shares.to(start.device).double().unsqueeze(-1)
    lengths = a.norm(dim=2, keepdim=True), b.norm(dim=2, keepdim=True)
    angle = ((a * b).sum(2, keepdim=True) / (lengths[0] * lengths[1])).clamp(-1, 1).acos()
    length = torch.lerp(*lengths, t)
    # At the ends each factor is exactly 0 or 1, so the ends are exact.
    turned = ((1 - t) * angle).sin() / angle.sin() * (length / lengths[0]) * a + (t * angle).sin() / angle.sin() * (
        length / lengths[1]
    ) * b
    # Not greater, rather than less: the angle to a vector of length 0 is no number.
    return torch.where(~(angle.sin() > 1e-6), torch.lerp(a, b, t), turned).to(start.dtype)
