"""``loss: relativistic``."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganvas import Critique, Loss, gather

# f of how far a score lies above what it is compared with.
BASES = {
    "logistic": lambda ahead: softplus(-ahead),
    "hinge": lambda ahead: relu(1 - ahead),
    "least-squares": lambda ahead: (ahead - 1).square(),
}


class Relativistic(Loss):
    """Relativistic loss: only the difference of a real and a fake score counts.

    With k = ``factor`` and the means r̄ of the real and f̄ of the fake scores,

        ``paired``   L_D = k E[f(s_real - s_fake)],    L_G = k E[f(s_fake - s_real)],
        ``average``  L_D = k E[f(s_real - f̄)] + k E[f(r̄ - s_fake)],    L_G = k E[f(s_fake - r̄)] + k E[f(f̄ - s_real)].

    f(t) is -log σ(t) (``logistic``), max(0, 1 - t) (``hinge``) or (t - 1)² (``least-squares``). Pairs are the i-th real
    and the i-th fake. Adding a constant to all scores changes nothing. Where all scores are equal the paired logistic
    loss is log 2 on both sides, the average one 2 log 2. The authors' code halves the average loss (``factor: 0.5``).
    The means run over the batch and, for patch scores, over the map. The generator's side reads the reals' scores too,
    which costs a forward pass of the discriminator.

    R3GAN is the paired logistic loss with a gradient penalty on the reals and one on the fakes, without which training
    does not settle.

    Source: Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", 2019;
    Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024, section 2.
    """

    def __init__(
        self,
        *,
        kind: Annotated[
            Literal["paired", "average"], Field(description="a score is compared with its partner, or with the mean")
        ] = "paired",
        base: Annotated[
            Literal["logistic", "hinge", "least-squares"], Field(description="f, what is asked of a difference")
        ] = "logistic",
        factor: Annotated[float, Field(gt=0, description="factor before every mean")] = 1.0,
    ) -> None:
        super().__init__()
        self.average = kind == "average"
        self.base = BASES[base]
        self.factor = factor

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return self._above(real.scores, fake.scores)

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return self._above(fake.scores, real.scores)

    def _above(self, first: Tensor, second: Tensor) -> Tensor:
        """What it costs that the first scores do not lie above the second."""
        if self.average:
            cost = self.base(first - gather(second).mean()).mean() + self.base(gather(first).mean() - second).mean()
        else:
            cost = self.base(first - second).mean()
        return self.factor * cost
