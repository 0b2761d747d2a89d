"""``discriminator: mlp``."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Head, Use
from ganvas_plugins.discriminators.trunk import TrunkDiscriminator


def flat(samples: Tensor, condition: Tensor) -> Tensor:
    """(N, *S) and (N, *K) -> (N, S + K), all numbers in a row."""
    return torch.cat([samples.flatten(1), condition.flatten(1).to(samples.dtype)], dim=1)


class MlpDiscriminator(TrunkDiscriminator):
    """One score per sample, from dense layers with leaky ReLU (0.2): samples of any shape.

    The default has a common size for MNIST, 784, 1024, 512, 256, 1. Nothing is normalised, so it is safe under any
    gradient penalty. Features (N, F), scores (N,).

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, section 5; with a condition Mirza and Osindero,
    "Conditional Generative Adversarial Nets", 2014, section 4.1.
    """

    channels_last = False
    join = staticmethod(flat)

    def __init__(
        self,
        shape: tuple[int, ...],
        condition: tuple[int, ...] | None,
        *,
        widths: Annotated[
            list[Annotated[int, Field(ge=1)]],
            Field(min_length=1, description="widths of the hidden layers; the last one's are the features"),
        ] = (1024, 512, 256),
        dropout: Annotated[
            float, Field(ge=0, lt=1, description="share of each hidden layer that is left out while training")
        ] = 0.0,
        spectral_norm: Annotated[
            bool, Field(description="divide each layer's weight, the head's too, by its largest singular value")
        ] = False,
        head: Annotated[Use[Head], Field(description="what turns the features into scores")] = "linear",
        conditional: Annotated[bool, Field(description="put the condition beside the sample's numbers")] = False,
    ) -> None:
        super().__init__()
        inputs = [self.input_channels((math.prod(shape),), condition, conditional), *widths]
        blocks: dict[str, nn.Module] = {
            f"level{level}": nn.Sequential(
                nn.Flatten(), nn.Linear(inputs[level], width), nn.LeakyReLU(0.2), nn.Dropout(dropout)
            )
            for level, width in enumerate(widths)
        }
        self.assemble(blocks, head(widths[-1], condition), conditional, spectral_norm)
