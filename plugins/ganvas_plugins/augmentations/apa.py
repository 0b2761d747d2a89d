"""``augmentation: apa``."""

import torch
from torch import Tensor

from ganvas_plugins.augmentations.adaptive import Adaptive


class Apa(Adaptive):
    """Adaptive pseudo augmentation: fakes are shown to the discriminator as reals, the more, the surer it is of those.

    With probability p, for each of a batch, the discriminator takes a fake for real, under the condition that this fake
    was made from; the generator's update is as ever. p follows the sign of the scores of what is taken for real::

        r = E[sign(D(x))],    p ← cut(p + sign(r - ``target``) n / ``ramp``)

    after every ``every`` updates of the discriminator, over the n samples that it judged as real in them; cut limits to
    [0, ``maximum``]. No image is changed, so that any data will do.

    The fakes are those that the same update judges as fake, where the published code keeps the generator's last ones.

    Source: Jiang et al., "Deceive D: Adaptive Pseudo Augmentation for GAN Training with Limited Data", 2021,
    section 3.2.
    """

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return images

    def mix(self, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        return torch.rand(len(real), generator=rng, device=rng.device) < self.probability
