"""``regularizer: gradient-penalty``."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Duel, Match, Regularizer, Scheduled


class GradientPenalty(Regularizer):
    """Holds the norm of the critic's gradient at a target between the data and the samples.

        GP = λ E[(‖∇ s(x̂)‖ - t)²]  (``two``)   or   λ E[max(0, ‖∇ s(x̂)‖ - t)²]  (``one``),   λ = ``weight``

    ``interpolation``: x̂ = ε x_real + (1 - ε) x_fake, one ε ~ U(0, 1) per sample. ``dragan``: x̂ = x_real + ε r σ u, u
    uniform in [0, 1] per number, σ the standard deviation of the batch and r = ``radius``. The points lie between what
    the critic saw (after augmentation) and are judged under the reals' condition; the norm runs over all of a sample's
    numbers; patch scores are averaged. It is computed in float32.

    Raises:
        ValueError: the critic has batch norm, under which a score is not one sample's.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, equation 3; Kodali et al., "On Convergence
    and Stability of GANs" (DRAGAN), 2017, section 2.4.
    """

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 10.0,
        sides: Annotated[
            Literal["two", "one"], Field(description="two: any other norm is penalised; one: only greater ones")
        ] = "two",
        at: Annotated[
            Literal["interpolation", "dragan"], Field(description="where: between reals and fakes, or around the reals")
        ] = "interpolation",
        target: Annotated[float, Field(ge=0, description="the norm that costs nothing")] = 1.0,
        radius: Annotated[
            float, Field(gt=0, description="dragan: how far around the reals, in standard deviations of the batch")
        ] = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        # Frozen for good, as in a pretrained trunk, batch norm is one fixed scale and shift.
        norms = (m for m in duel.discriminator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
        if any(norm.training for norm in norms):
            raise ValueError(
                f"{type(duel.discriminator).__name__} has batch norm, under which no gradient is one sample's own; "
                "give the discriminator norm: none"
            )
        self.one_sided, self.at, self.target, self.radius = sides == "one", at, target, radius

    def penalty(self, match: Match) -> Tensor:
        points = self._points(match).requires_grad_(True)
        with torch.autocast(points.device.type, enabled=False):
            scores = match.criticise(points, match.condition_real).scores
            score = scores.reshape(len(points), -1).mean(1).sum()
            (gradient,) = torch.autograd.grad(score, points, create_graph=True)
        excess = torch.linalg.vector_norm(gradient.flatten(1), dim=1) - self.target
        return (excess.relu() if self.one_sided else excess).square().mean()

    def _points(self, match: Match) -> Tensor:
        real, rng = match.critique("real").samples.detach().float(), match.step.rng
        share = torch.rand((len(real),) + (1,) * (real.dim() - 1), generator=rng, device=rng.device)
        if self.at == "dragan":
            noise = torch.rand(real.shape, generator=rng, device=rng.device)
            return real + share * self.radius * real.std() * noise
        return torch.lerp(match.critique("fake").samples.detach().float(), real, share)
