"""``loss: softplus-least-squares``."""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from ganvas import Critique, Loss


class SoftplusLeastSquares(Loss):
    """Least squares made monotone: no score can be too good, so it may be converted by ``san``.

    With sp(t) = log(1 + eᵗ), b = ``real``, a = ``fake``, c = ``target`` and k = ``factor``,

        L_D = k E[sp(b - s_real)²] + k E[sp(s_fake - a)²],    L_G = k E[sp(c - s_fake)²].

    Where ``least-squares`` pulls a score back that passed its target, this one goes on pushing it, ever more gently.
    Means run over the batch and, for patch scores, over the map. A ``real`` below 1 is one-sided label smoothing.

    Source: Shibuya, Takida and Mitsufuji, "BigVSAN: Enhancing GAN-based Neural Vocoders with Slicing Adversarial
    Network", 2024.
    """

    monotone = True

    def __init__(
        self,
        *,
        real: Annotated[
            float, Field(description="what the real scores are to exceed in the discriminator's loss")
        ] = 1.0,
        fake: Annotated[float, Field(description="what the fake scores are to stay below there")] = 0.0,
        target: Annotated[float, Field(description="what the fake scores are to exceed in the generator's loss")] = 1.0,
        factor: Annotated[float, Field(gt=0, description="factor before every square")] = 1.0,
    ) -> None:
        super().__init__()
        self.real, self.fake, self.target, self.factor = real, fake, target, factor

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return self._mean(self.real - real.scores) + self._mean(fake.scores - self.fake)

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return self._mean(self.target - fake.scores)

    def _mean(self, lacking: Tensor) -> Tensor:
        return self.factor * softplus(lacking).square().mean()
