"""``head: multi-class``."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ganvas import Critique, Head


class MultiClassHead(Head):
    """Logits of the K classes and of one more, "fake", for losses that classify.

    ``classes`` is C(h) = W h + b, (N, K + 1) for flat features (N, F), (N, K + 1, *S) for maps; the last one is "fake".
    The score of a sample under its class y, which penalties read, is how far that class leads "fake":

        s = C_y - C_{K+1}.

    Raises:
        ValueError: the stage has no condition.

    Source: Kavalerov, Czaja and Chellappa, "cGANs with Multi-Hinge Loss", 2019; the K + 1 classes from
    Salimans et al., "Improved Techniques for Training GANs", 2016, section 5.
    """

    conditional = True
    gives = demands = frozenset({"classes"})
    example: ClassVar[Mapping[str, Any]] = {"stages.gan.discriminator.head": ..., "stages.gan.loss": "multi-hinge"}

    def __init__(self, features: int, condition: tuple[int, ...] | None) -> None:
        super().__init__()
        if condition is None:
            raise ValueError("multi-class needs a condition, and this stage has none; give it one (labels, say)")
        self.logits = nn.Linear(features, math.prod(condition) + 1)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        logits = self.logits(features.movedim(1, -1)).movedim(-1, 1)
        own = condition.flatten(1).to(logits.dtype).view(len(features), -1, *[1] * (features.dim() - 2))
        return Critique((logits[:, :-1] * own).sum(1) - logits[:, -1], classes=logits)
