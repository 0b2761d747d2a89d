"""``loss: template-name``."""

from typing import Annotated

from ganvas import Critique, Loss
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus


class Template(Loss):
    """Relativistic average loss: reals are to score higher than the average fake, and the other way round.

    With scores s, the logistic function σ and the average scores r̄ of the reals and f̄ of the fakes,

        L_D = -E[log σ((s_real - f̄) / T)] - E[log(1 - σ((s_fake - r̄) / T))],
        L_G = -E[log σ((s_fake - r̄) / T)] - E[log(1 - σ((s_real - f̄) / T))],    T = ``temperature``.

    Only differences count: a constant added to all scores changes nothing, and where all scores are equal both losses
    are log 4. Averages run over the batch and, for patch scores, over the map. The generator's side reads the reals'
    scores too, which costs a forward pass of the discriminator.

    Source: Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", 2019,
    section 4.2; the temperature is this package's own.
    """

    def __init__(
        self,
        *,
        temperature: Annotated[float, Field(gt=0, description="T, which the differences are divided by")] = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = temperature

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return self._higher(real.scores, fake.scores)

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return self._higher(fake.scores, real.scores)

    def _higher(self, first: Tensor, second: Tensor) -> Tensor:
        """How far the first scores are from lying above the second; -log σ(x) = softplus(-x)."""
        above = (first - second.mean()) / self.temperature
        below = (second - first.mean()) / self.temperature
        return softplus(-above).mean() + softplus(below).mean()
