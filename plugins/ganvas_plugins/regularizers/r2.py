"""``regularizer: r2``."""

from ganvas_plugins.regularizers.r1 import R1


class R2(R1):
    """Gradient penalty at the fakes: the discriminator is to be flat where the generator is.

        R2 = (γ / 2) E[‖∇ₓ s(x)‖²],    x generated, γ = ``weight``

    The same as ``r1`` in all else, with the same options. With both, the discriminator of a relativistic loss settles
    (R3GAN: γ / 2 each, every step).

    Source: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?", 2018, equation 10;
    Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", 2024, section 2.
    """

    wants = frozenset({"fake"})
