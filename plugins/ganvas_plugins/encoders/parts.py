"""What several encoders are made of: losses in full precision, projectors, targets that follow."""

import copy
import functools
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganvas import Backbone

__all__ = ["Target", "check_backbone", "full_precision", "needs_others", "perceptron"]


def full_precision(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss whose first two arguments are tensors, computed outside autocast, half precision as float32."""

    @functools.wraps(loss)
    def computed(first: Tensor, second: Tensor, *others: float) -> Tensor:
        with torch.autocast(first.device.type, enabled=False):
            wide = (tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in (first, second))
            return loss(*wide, *others)

    return computed


def perceptron(*widths: int, bias: bool = True) -> nn.Sequential:
    """Linear layers of these widths, with batch norm and ReLU between them.

    Args:
        widths: of the input, the hidden layers and the output.
        bias: whether the last layer has one; a batch norm would take it away again from the others.
    """
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths[:-1]):
        layers += [nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1], bias=bias))


def needs_others(size: int, why: str) -> None:
    """Raises ValueError for a batch of one image; ``why`` it takes more."""
    if size < 2:
        raise ValueError(f"{why}, and batch_size is {size}; set it to 2 or more")


def check_backbone(backbone: Backbone, shape: tuple[int, ...], remedy: str) -> None:
    """Raises ValueError where a backbone cannot train on a batch (N, C, H, W); on the meta device, where it is free."""
    if torch.get_default_device().type != "meta":
        return
    try:
        backbone(torch.empty(*shape))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        sizes = "x".join(str(size) for size in shape)
        raise ValueError(f"the backbone cannot train on a batch of {sizes}: {reason}; {remedy}") from error


class Target(nn.Module):
    """A copy of a network that follows it: xi <- m xi + (1 - m) theta.

    Its weights are buffers, not parameters: no optimizer sees them, no gradient reaches them, and they are saved and
    resumed. Batch norm keeps running statistics of its own.
    """

    def __init__(self, online: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(online)
        held: dict[nn.Parameter, Tensor] = {}  # what modules share stays shared
        for module in self.network.modules():
            for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
                delattr(module, name)
                module.register_buffer(name, held.setdefault(parameter, parameter.detach()))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    @torch.no_grad()
    def follow(self, online: nn.Module, momentum: float) -> None:
        """One step towards the network that it was copied from."""
        named = online.named_parameters(remove_duplicate=False)
        pairs = {self.network.get_buffer(name): parameter for name, parameter in named}
        torch._foreach_lerp_(list(pairs), list(pairs.values()), 1 - momentum)
