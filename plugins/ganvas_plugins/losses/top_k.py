"""``loss: top-k``."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ganvas import Critique, Loss, Scheduled, Terms, Use
from ganvas_plugins.losses.wrapping import Rows, WrappingLoss

FALLING = Scheduled(1.0, to=0.5, shape="exponential")


class TopK(WrappingLoss):
    """The generator learns from the best of its fakes only: those that the discriminator scores highest.

    With the k best of N fakes, k = max(1, round(``share`` N)), and the wrapped loss's generator side L,

        L_G = L(the k best fakes, their k partners among the reals).

    A fake's score is the mean of its patches' where there are several. Fakes near no mode are scored low, and their
    gradients may lead further away; but a discriminator that knows little yet cannot tell, so the paper starts with all
    fakes and multiplies k by 0.99 after every epoch, until it is 50 to 75 % of the batch. Here the share falls from 1
    to ½ along the same curve, over the whole stage unless its schedule says otherwise. The discriminator's side is the
    wrapped loss's. Over several devices each takes the best of its own fakes.

    Source: Sinha et al., "Top-k Training of GANs: Improving GAN Performance by Throwing Away Bad Samples", 2020.
    """

    def __init__(
        self,
        *,
        loss: Annotated[Use[Loss], Field(description="what both players play")] = "non-saturating",
        share: Annotated[
            Scheduled, Field(gt=0, le=1, description="of the fakes that the generator learns from")
        ] = FALLING,
    ) -> None:
        super().__init__(loss)
        self.share = Scheduled.of(share)

    def generator(self, fake: Critique, real: Critique) -> Tensor | Terms:
        number = len(fake.scores)
        best = max(1, round(self.share.at(fake.step) * number))
        if best < number:
            rows = fake.scores.detach().reshape(number, -1).mean(1).topk(best).indices
            fake, real = Rows(fake, rows), Rows(real, rows)
        return self.loss.generator(fake, real)
