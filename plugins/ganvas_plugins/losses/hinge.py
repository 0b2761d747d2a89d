"""``loss: hinge``."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import relu

from ganvas import Critique, Loss


class Hinge(Loss):
    """Hinge loss: the discriminator asks for a margin, the generator for the raw score.

        L_D = E[max(0, m - s_real)] + E[max(0, m + s_fake)],
        L_G = -E[s_fake]  (``linear``)   or   E[max(0, m - s_fake)]  (``clipped``).

    At its optimum (m = 1) the discriminator's loss is 2 (1 - TV(p_data, p_fake)). The clipped form, which EigenGAN's
    and InfoSCC-GAN's code use, stops pushing a fake whose score passed the margin.

    Source: Lim and Ye, "Geometric GAN", 2017; the linear form also in Miyato et al., "Spectral Normalization for
    Generative Adversarial Networks", 2018, equations 16 and 17.
    """

    monotone = True

    def __init__(
        self,
        *,
        margin: Annotated[float, Field(gt=0, description="score the real samples must exceed")] = 1.0,
        generator: Annotated[
            Literal["linear", "clipped"], Field(description="the generator's side: the raw score, or the hinge")
        ] = "linear",
    ) -> None:
        super().__init__()
        self.margin = margin
        self.clipped = generator == "clipped"

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return relu(self.margin - real.scores).mean() + relu(self.margin + fake.scores).mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return relu(self.margin - fake.scores).mean() if self.clipped else -fake.scores.mean()
