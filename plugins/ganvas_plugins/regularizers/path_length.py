"""``regularizer: path-length``."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Duel, Generator, Match, Regularizer, Scheduled, gather


class PathLength(Regularizer):
    """A step of a given length in the space of styles shall change the image by as much everywhere.

        λ E[(‖Jᵀ y‖ - a)²],    Jᵀ y = ∇_w (G(w) · y),    y ~ N(0, 1) / √(HW),    λ = ``weight``

    w are a sample's styles (L, D), ‖·‖ is the root of the squares' sum over D and mean over the L layers, and a follows
    the mean length: a ← a + ``decay`` (E‖Jᵀ y‖ - a), before the penalty is taken; it starts at zero and is no part of
    the gradient. The samples are the first ``batch_share`` of the update's, made anew; it is computed in float32. The
    paper's: weight 2, every 4, rescaled, half the batch.

    Raises:
        ValueError: the generator has no styles.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, section 3.2 and appendix B.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan.generator": {"use": "stylegan2"},
        "stages.gan.regularizers": [...],
    }
    joins = frozenset({"generator"})

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 2.0,
        every: Annotated[int, Field(ge=1, description="computed in every n-th iteration only")] = 4,
        decay: Annotated[float, Field(gt=0, le=1, description="how fast a follows the mean length")] = 0.01,
        batch_share: Annotated[float, Field(gt=0, le=1, description="the part of the batch it is computed on")] = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, every=every, **options)
        if getattr(type(duel.generator), "styles", Generator.styles) is Generator.styles:
            raise ValueError(
                f"{type(duel.generator).__name__} has no styles whose paths could be measured; "
                "use generator: stylegan2, or leave out path-length"
            )
        self.decay, self.batch_share = decay, batch_share
        self.register_buffer("mean_length", torch.zeros(()))

    def penalty(self, match: Match) -> Tensor:
        generator = match.duel.generator
        number = max(1, round(self.batch_share * len(match.latents)))
        condition = match.condition_fake[:number] if match.condition_fake is not None else None
        with torch.autocast(match.latents.device.type, enabled=False):
            styles = generator.styles(match.latents[:number], condition)
            if not styles.requires_grad:  # nothing that makes them is trained
                styles = styles.detach().requires_grad_(True)
            samples = generator.synthesize(styles)
            lengths = path_lengths(samples, styles, match.step.rng)
        with torch.no_grad():
            self.mean_length.lerp_(gather(lengths).mean(), self.decay)
        return (lengths - self.mean_length).square().mean()


def path_lengths(samples: Tensor, styles: Tensor, rng: torch.Generator) -> Tensor:
    """‖Jᵀ y‖ of each sample, differentiable: (N, C, H, W) and the (N, L, D) they were made of -> (N,)."""
    noise = torch.randn(samples.shape, generator=rng, device=rng.device) / math.sqrt(math.prod(samples.shape[2:]))
    (gradient,) = torch.autograd.grad((samples * noise).sum(), styles, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
