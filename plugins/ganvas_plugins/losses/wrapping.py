"""What the losses that wrap another one share: its needs, some of its samples, its terms by name."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ganvas import Critique, Loss, Terms

__all__ = ["Rows", "WrappingLoss", "named"]


class WrappingLoss(Loss):
    """A loss around another, ``self.loss``, whose discriminator's side stays as it is unless a subclass changes it.

    It needs and reads what that one does, and the other's networks are trained on the side they ask for.
    """

    def __init__(self, loss: Callable[[], Loss]) -> None:
        super().__init__()
        self.loss = loss()
        self.needs = self.needs | self.loss.needs
        self.layers = (*self.layers, *self.loss.layers)
        self.trained_in = self.loss.trained_in

    def discriminator(self, real: Critique, fake: Critique) -> Tensor | Terms:
        return self.loss.discriminator(real, fake)


class Rows:
    """Some samples of a critique, to be read like one: each attribute is cut to their rows when it is asked for.

    So a critique that is computed only when it is looked at stays uncomputed until then.

    Args:
        critique: of N samples.
        rows: (k,), which of them, in which order.
    """

    def __init__(self, critique: Critique, rows: Tensor) -> None:
        self._critique = critique
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        return self._cut(getattr(self._critique, name))

    def _cut(self, value: Any) -> Any:
        match value:
            case Tensor() if value.dim() > 0:
                return value[self._rows]
            case dict():
                return {name: self._cut(inner) for name, inner in value.items()}
        return value


def named(value: Tensor | Terms) -> Terms:
    """What a side of a loss gives, as terms by name."""
    return value if isinstance(value, dict) else {"adversarial": value}
