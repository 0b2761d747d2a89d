"""``loss: minimax``."""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from ganvas import Critique, Loss


class Minimax(Loss):
    """The original two-player game: the generator minimises what the discriminator maximises.

    With logits s and the logistic function σ,

        L_D = -E[log σ(s_real)] - E[log(1 - σ(s_fake))],    L_G = E[log(1 - σ(s_fake))].

    The generator's gradient at a logit is -σ(s_fake), which vanishes where the discriminator wins; ``non-saturating``
    keeps the fixed points without that. At all-zero logits L_D = log 4 and L_G = -log 2. Means run over the batch and,
    for patch scores, over the map. With ``smoothing`` a the target of the reals is 1 - a (one-sided label smoothing,
    Salimans et al., "Improved Techniques for Training GANs", 2016, section 3.4); the fakes' target stays 0.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, equation 1.
    """

    monotone = True

    def __init__(
        self,
        *,
        smoothing: Annotated[float, Field(ge=0, lt=0.5, description="the target of the reals is 1 minus this")] = 0.0,
    ) -> None:
        super().__init__()
        self.smoothing = smoothing

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        # (1 - a)·softplus(-s) + a·softplus(s) = softplus(-s) + a·s
        judged_real = softplus(-real.scores) + self.smoothing * real.scores
        return judged_real.mean() + softplus(fake.scores).mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return -softplus(fake.scores).mean()
