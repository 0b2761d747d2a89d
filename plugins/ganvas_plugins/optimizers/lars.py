"""``optimizer: lars``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Optimizer, Scheduled


class Lars(Optimizer):
    """LARS: each weight tensor steps in proportion to its own length, so that large batches bear large learning rates.

    For the weights w of one layer and their gradient g::

        lambda = eta ||w|| / (||g|| + decay ||w||)        1 where either norm is 0
        v <- m v + lr lambda (g + decay w),   w <- w - v

    Biases and the gains of normalisation (parameters of one dimension) get lambda = 1 and no decay, as in BYOL, Barlow
    Twins and SimCLR, unless ``one_dimensional`` is set. Methods that use it give lr for a batch of 256 images and
    scale it with the batch: BYOL and Barlow Twins 0.2, SimCLR 0.3, with a warm-up and a cosine:
    ``lr: {from: 0.2, to: 0, shape: cosine, warm_up: 0.01}``.

    Source: You, Gitman & Ginsburg, "Large Batch Training of Convolutional Networks", 2017, equation 6 and algorithm 1.
    """

    def __init__(
        self,
        *,
        lr: Annotated[Scheduled, Field(ge=0, description="learning rate")] = 0.2,  # type: ignore[assignment]
        momentum: Annotated[Scheduled, Field(ge=0, lt=1, description="momentum")] = 0.9,  # type: ignore[assignment]
        weight_decay: Annotated[float, Field(ge=0, description="L2 penalty, added to the gradient")] = 1e-6,
        trust: Annotated[
            float, Field(gt=0, description="eta: length of a step, as a share of the weights', at lr 1")
        ] = 1e-3,
        one_dimensional: Annotated[
            bool, Field(description="biases and gains of normalisation are adapted and decayed too")
        ] = False,
    ) -> None:
        self.lr = Scheduled.of(lr)
        self.momentum = Scheduled.of(momentum)
        self.weight_decay = weight_decay
        self.trust = trust
        self.one_dimensional = one_dimensional

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Lars(
            parameters,
            {
                "lr": self.lr.value,
                "momentum": self.momentum.value,
                "weight_decay": self.weight_decay,
                "trust": self.trust,
                "one_dimensional": self.one_dimensional,
            },
        )


class _Lars(torch.optim.Optimizer):
    """The optimizer itself; what it keeps per parameter is ``momentum_buffer``."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            adapted = [parameter for parameter in moved if parameter.dim() > 1 or group["one_dimensional"]]
            plain = [parameter for parameter in moved if parameter.dim() <= 1 and not group["one_dimensional"]]
            self._move(adapted, _adapted(adapted, group), group)
            self._move(plain, [parameter.grad for parameter in plain], group)
        return loss

    def _move(self, weights: list[nn.Parameter], steps: list[Tensor], group: dict[str, Any]) -> None:
        """v <- m v + lr step, w <- w - v."""
        if not weights:
            return
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        velocities = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, steps, alpha=group["lr"])
        torch._foreach_sub_(weights, velocities)


def _adapted(weights: list[nn.Parameter], group: dict[str, Any]) -> list[Tensor]:
    """lambda (g + decay w) of each layer; nothing waits for the device."""
    if not weights:
        return []
    gradients = [weight.grad for weight in weights]
    lengths = torch.stack(torch._foreach_norm(weights))
    slopes = torch.stack(torch._foreach_norm(gradients))
    rates = group["trust"] * lengths / (slopes + group["weight_decay"] * lengths)
    rates = torch.where((lengths > 0) & (slopes > 0), rates, 1.0)
    decayed = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
    return list(torch._foreach_mul(decayed, list(rates.unbind())))
