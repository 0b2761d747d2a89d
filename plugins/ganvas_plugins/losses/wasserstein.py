"""``loss: wasserstein``."""

from torch import Tensor

from ganvas import Critique, Loss


class Wasserstein(Loss):
    """Wasserstein loss: the critic estimates the distance between data and samples, the generator shortens it.

        L_D = E[s_fake] - E[s_real],    L_G = -E[s_fake].

    -L_D estimates the 1-Wasserstein distance (times the Lipschitz constant) only if something keeps the critic
    Lipschitz: add ``weight-clipping`` or ``gradient-penalty``. Scores are raw.

    Source: Arjovsky, Chintala and Bottou, "Wasserstein Generative Adversarial Networks", 2017, Algorithm 1.
    """

    monotone = True

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return fake.scores.mean() - real.scores.mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return -fake.scores.mean()
