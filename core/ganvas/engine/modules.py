"""What is done with networks by those that train them and by those that look at them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["evaluating", "norm"]


@torch.no_grad()
def norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all their numbers together; 0 of none."""
    if not tensors:
        return torch.zeros(())
    norms = torch._foreach_norm(list(tensors))  # pyright: ignore[reportPrivateImportUsage]
    return torch.linalg.vector_norm(torch.stack(norms))


class evaluating:
    """Eval mode inside, each module's own mode afterwards."""

    def __init__(self, module: nn.Module) -> None:
        self.modes = [(inner, inner.training) for inner in module.modules()]
        self.module = module

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *exception: object) -> None:
        for inner, mode in self.modes:
            inner.training = mode
