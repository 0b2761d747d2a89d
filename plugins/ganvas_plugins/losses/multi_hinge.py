"""``loss: multi-hinge``."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad, relu

from ganvas import Critique, Loss


class MultiHinge(Loss):
    """Multi-class hinge loss: the discriminator classifies into K classes and one more, "fake".

    C_k(x) are the K + 1 logits of ``head: multi-class``, C_¬k(x) is the largest of all but the k-th, y the class of a
    real sample or the one a fake was asked for, m = ``margin``:

        L_D = E[max(0, m - C_y(x_real) + C_¬y(x_real))] + E[max(0, m - C_{K+1}(x_fake) + C_¬{K+1}(x_fake))],
        L_G = E[max(0, m - C_y(x_fake) + C_¬y(x_fake))].

    The condition has to be a class, one-hot. The authors' code matches features as well on the generator's side: that
    is ``{use: feature-matching, loss: multi-hinge, distance: absolute, adversarial: …}``.

    Source: Kavalerov, Czaja and Chellappa, "cGANs with Multi-Hinge Loss", 2019.
    """

    needs = frozenset({"classes"})
    example: ClassVar[Mapping[str, Any]] = {"stages.gan.loss": ..., "stages.gan.discriminator.head": "multi-class"}

    def __init__(
        self, *, margin: Annotated[float, Field(gt=0, description="m, by which a class is to lead the others")] = 1.0
    ) -> None:
        super().__init__()
        self.margin = margin

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return self._lead(real, _asked(real)) + self._lead(fake, _fake(fake))

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return self._lead(fake, _asked(fake))

    def _lead(self, critique: Critique, chosen: Tensor) -> Tensor:
        """What it costs that a class, one-hot (N, K + 1), does not lead the others by the margin."""
        logits: Tensor = critique.classes
        mask = chosen.bool().view(*chosen.shape, *[1] * (logits.dim() - 2))
        own = logits.masked_fill(~mask, 0).sum(1)
        others = logits.masked_fill(mask, -torch.inf).amax(1)
        return relu(self.margin - own + others).mean()


def _asked(critique: Critique) -> Tensor:
    """The class of every sample, (N, K + 1)."""
    return pad(critique.condition.flatten(1), (0, 1))


def _fake(critique: Critique) -> Tensor:
    """The class "fake" for every sample, (N, K + 1)."""
    return pad(torch.zeros_like(critique.condition.flatten(1)), (0, 1), value=1)
