"""What augmentations share whose probability follows the discriminator: it rises where the reals are known too well."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Augmentation, Critique, gather


class Adaptive(Augmentation):
    """An augmentation whose probability p is held where the discriminator does not know the reals by heart.

        r = E[sign(D(x))],  x real,    p ← cut(p + sign(r - ``target``) n / ``ramp``)

    after every ``every`` updates of the discriminator, over the n reals that it judged in them; cut limits to
    [0, ``maximum``]. r is 0 for one that guesses and 1 for one that is sure of every real; of patches each counts. p is
    part of a stage's state. It is logged as ``scores/augmentation-probability``, and the r of each batch as
    ``scores/real-sign``.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, section 3.1.

    Attributes:
        probability: p, a tensor ().

    Raises:
        ValueError: p starts above its maximum.
    """

    differentiable = True

    def __init__(
        self,
        *,
        start: Annotated[float, Field(ge=0, le=1, description="probability at the start")] = 0.0,
        target: Annotated[
            float | None,
            Field(
                ge=-1, le=1, description="mean sign of the real scores to hold; none leaves the probability as it is"
            ),
        ] = 0.6,
        ramp: Annotated[
            int, Field(ge=1, description="real images in which the probability can go from 0 to 1")
        ] = 500_000,
        every: Annotated[int, Field(ge=1, description="the discriminator's updates between two changes")] = 4,
        maximum: Annotated[float, Field(gt=0, le=1, description="largest probability")] = 1.0,
    ) -> None:
        super().__init__()
        if start > maximum:
            raise ValueError(f"the probability starts at {start:g}, above its maximum {maximum:g}; lower start")
        self.target, self.ramp, self.every, self.maximum = target, ramp, every, maximum
        self.probability: Tensor
        self.signs: Tensor
        self.images: Tensor
        self.updates: Tensor
        self.register_buffer("probability", torch.tensor(float(start)))
        # Since the last change: the sum of the signs of the reals' scores, how many reals, in how many updates.
        for name in ("signs", "images", "updates"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def observe(self, real: Critique) -> None:
        signs = gather(real.scores.float().sign())
        if self.target is not None:
            # Nothing here waits for the device.
            self.signs += signs.flatten(1).mean(1).sum() if signs.dim() > 1 else signs.sum()
            self.images += len(signs)
            self.updates += 1
            due = self.updates >= self.every
            change = (self.signs / self.images - self.target).sign() * self.images / self.ramp
            self.probability += torch.where(due, change, 0)
            self.probability.clamp_(0, self.maximum)
            for tally in (self.signs, self.images, self.updates):
                tally.mul_(~due)
        if real.step is not None:
            real.step.log("scores/real-sign", signs.mean())
            real.step.log("scores/augmentation-probability", self.probability)
