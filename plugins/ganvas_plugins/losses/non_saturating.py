"""``loss: non-saturating``."""

from torch import Tensor
from torch.nn.functional import softplus

from ganvas import Critique
from ganvas_plugins.losses.minimax import Minimax


class NonSaturating(Minimax):
    """The minimax game with the generator's usual objective: make the discriminator say "real".

    With logits s and the logistic function σ,

        L_D = -E[log σ(s_real)] - E[log(1 - σ(s_fake))],    L_G = -E[log σ(s_fake)].

    The generator's gradient at a logit is -(1 - σ(s_fake)): it is strongest where the discriminator wins. At all-zero
    logits L_D = log 4 and L_G = log 2.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, section 3.
    """

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return softplus(-fake.scores).mean()
