"""``loss: least-squares``."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from ganvas import Critique, Loss


class LeastSquares(Loss):
    """Least squares: scores are pulled to a target for the reals and one for the fakes.

    With b = ``real``, a = ``fake`` and c = ``target``,

        L_D = k E[(s_real - b)²] + k E[(s_fake - a)²],    L_G = k E[(s_fake - c)²],    k = ``factor``.

    The paper's k is ½; (a, b, c) = (0, 1, 1) is its practical choice, (-1, 1, 0) the one under which the generator
    minimises a Pearson χ² divergence. CycleGAN's code has k = 1 and halves the discriminator's loss. The optimal score
    is (b p_data + a p_fake) / (p_data + p_fake). ``power: 4`` repeats InfoSCC-GAN's published code (it squares twice).

    Source: Mao et al., "Least Squares Generative Adversarial Networks", 2017, equations 2, 8 and 9.
    """

    def __init__(
        self,
        *,
        real: Annotated[float, Field(description="target of the real scores in the discriminator's loss")] = 1.0,
        fake: Annotated[float, Field(description="target of the fake scores in the discriminator's loss")] = 0.0,
        target: Annotated[float, Field(description="target of the fake scores in the generator's loss")] = 1.0,
        factor: Annotated[float, Field(gt=0, description="factor before every square")] = 0.5,
        power: Annotated[Literal[2, 4], Field(description="2 for squares, 4 for squares of squares")] = 2,
    ) -> None:
        super().__init__()
        self.real, self.fake, self.target, self.factor, self.power = real, fake, target, factor, power

    def _distance(self, scores: Tensor, target: float) -> Tensor:
        return self.factor * (scores - target).pow(self.power).mean()

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return self._distance(real.scores, self.real) + self._distance(fake.scores, self.fake)

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return self._distance(fake.scores, self.target)
