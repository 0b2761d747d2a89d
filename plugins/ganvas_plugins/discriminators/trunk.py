"""What the bundled convolutional discriminators share: a row of named blocks, then a head."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from ganvas import Critique, Discriminator, Head
from ganvas_plugins.layers import beside, normalise_spectrally

__all__ = ["TrunkDiscriminator", "gives_more_than_scores"]


def gives_more_than_scores(head: Head) -> bool:
    """Whether a head, or one that it wraps, gives further fields or has terms of its own: those are of one critique."""
    wrapped = [part for part in head.modules() if isinstance(part, Head)]
    return any(part.gives or type(part).terms is not Head.terms for part in wrapped)


class TrunkDiscriminator(Discriminator):
    """Blocks in a row; every block's output is a layer of the critique, the last one's is what the head judges.

    A subclass makes its blocks for ``input_channels(...)`` channels and hands them to ``assemble``.

    Attributes:
        join: how samples and a condition become one input.
    """

    channels_last = True
    join: Callable[[Tensor, Tensor], Tensor] = staticmethod(beside)

    @staticmethod
    def input_channels(shape: tuple[int, ...], condition: tuple[int, ...] | None, conditional: bool) -> int:
        """Channels of what the first block sees: the image's, and one per number of the condition where it is used.

        Raises:
            ValueError: the discriminator is to be conditional, but there is no condition.
        """
        if conditional and condition is None:
            raise ValueError("conditional: true needs a condition, and this stage has none; give it one (labels, say)")
        return shape[0] + (math.prod(condition or ()) if conditional else 0)

    def assemble(
        self,
        blocks: dict[str, nn.Module],
        head: Head,
        conditional: bool,
        spectral_norm: bool = False,
        initialise: Callable[[nn.Module], None] | None = None,
    ) -> None:
        """Makes the network of its parts.

        Args:
            conditional: put the condition beside the samples.
            spectral_norm: normalise every layer's weight spectrally, the head's included.
            initialise: draws the weights, the head's included; before they are normalised. None: they stay as they are.
        """
        self.blocks = nn.ModuleDict(blocks)
        self.layers = tuple(blocks)
        self.head = head
        self.concatenates = conditional
        self.conditional = conditional or head.conditional
        if initialise is not None:
            initialise(self)
        if spectral_norm:
            normalise_spectrally(self)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        features = self.join(samples, condition) if self.concatenates and condition is not None else samples
        layers: dict[str, Tensor] = {}
        for name, block in self.blocks.items():
            layers[name] = features = block(features)
        critique = self.head(features, condition)
        critique.features, critique.layers = features, layers
        return critique
