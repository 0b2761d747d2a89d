"""``regularizer: spectral-normalisation``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ganvas import Duel, Regularizer
from ganvas_plugins.layers import normalise_spectrally, weight_layers
from ganvas_plugins.regularizers.parts import sides_of


class SpectralNormalisation(Regularizer):
    """Every layer of the discriminator is divided by its largest singular value, so that each is 1-Lipschitz: W / σ(W).

    σ is estimated by the power method, with ``iterations`` steps in every forward pass while training; its vectors are
    saved with the network. Convolutions, dense layers and embeddings, the head's included; not the layers of
    conditional batch norm, nor what is normalised already or not trained. The bundled discriminators offer the same as
    their option ``spectral_norm``.

    Raises:
        ValueError: the network has no such layer.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, equation 8 and Algorithm
    1; for both networks Zhang et al., "Self-Attention Generative Adversarial Networks", 2019, section 4.1.
    """

    def __init__(
        self,
        duel: Duel,
        *,
        network: Annotated[
            Literal["discriminator", "generator", "both"], Field(description="whose layers are normalised")
        ] = "discriminator",
        iterations: Annotated[int, Field(ge=1, description="steps of the power method in a forward pass")] = 1,
    ) -> None:
        super().__init__(duel)
        self.joins = sides_of(network)
        self.iterations = iterations
        for side in sorted(self.joins):
            if not weight_layers(getattr(duel, side)):
                raise ValueError(
                    f"{type(getattr(duel, side)).__name__} has no layer to normalise spectrally; "
                    "leave out spectral-normalisation, or name the other network"
                )

    def prepare(self, networks: Mapping[str, nn.Module]) -> None:
        for side in sorted(self.joins):
            normalise_spectrally(networks[side], self.iterations)
