"""``head: san``."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ganvas import Critique, Head


class SanHead(Head):
    """A score along a direction of length 1, which learns apart from the features: a discriminative normalised layer.

    With features h (N, F) or maps (N, F, *S), b = ``bias`` (F numbers added to the features), s = ``scale`` and
    ω = w / ‖w‖,

        scores = s ⟨sg(ω), h + b⟩,    direction = sg(s) ⟨ω, sg(h + b)⟩,

    both (N, *S). Their values are the same; sg lets no gradient pass, so what is asked of the scores trains h, b and s,
    what is asked of ``direction`` trains w alone, at right angles to w. Each class has a direction and a scale of its
    own where the stage has a condition; for a condition that is not one class the w of the classes are summed by it.
    Weight decay on w would be lost: its length changes nothing.

    ``loss: san`` asks the right thing of both; no other loss uses ``direction``, and w would never learn.

    Source: Takida et al., "SAN: Inducing Metrizability of GAN with Discriminative Normalized Linear Layer", 2024;
    bias and scale as in the authors' code.
    """

    gives = demands = frozenset({"direction"})
    example: ClassVar[Mapping[str, Any]] = {"stages.gan.discriminator.head": ..., "stages.gan.loss": "san"}

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        bias: Annotated[bool, Field(description="learn numbers that are added to the features")] = True,
        scale: Annotated[bool, Field(description="learn a factor of the scores; 1 otherwise")] = True,
        per_class: Annotated[bool, Field(description="a direction for each class, where there is a condition")] = True,
    ) -> None:
        super().__init__()
        self.conditional = per_class and condition is not None
        classes = math.prod(condition or ()) if self.conditional else 1
        self.weight = nn.Parameter(torch.randn(classes, features))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None
        self.scale = nn.Parameter(torch.ones(classes)) if scale else None

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        places = [1] * (features.dim() - 2)
        hidden = features if self.bias is None else features + self.bias.view(-1, *places)
        omega = normalize(self._of_class(self.weight, condition), dim=1)
        scores, direction = _along(omega.detach(), hidden), _along(omega, hidden.detach())
        if self.scale is not None:
            scale = self._of_class(self.scale, condition).view(-1, *places)
            scores, direction = scores * scale, direction * scale.detach()
        return Critique(scores, direction=direction)

    def _of_class(self, values: Tensor, condition: Tensor | None) -> Tensor:
        """The values (K, ...) that the condition (N, K) picks, (N, ...); the only ones, (1, ...), without one."""
        if not self.conditional:
            return values
        with torch.autocast(values.device.type, enabled=False):  # in bfloat16 no direction has the length 1
            return condition.flatten(1).to(values.dtype) @ values


def _along(direction: Tensor, features: Tensor) -> Tensor:
    """Inner products of directions (N, F) or (1, F) with features (N, F, *S), (N, *S)."""
    return torch.einsum("nf...,nf->n...", features, direction.expand(len(features), -1))
