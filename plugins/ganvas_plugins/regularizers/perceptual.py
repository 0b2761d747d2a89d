"""``regularizer: perceptual``."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from ganvas import Backbone, Duel, Encoder, Match, Regularizer, Trained, Use
from ganvas_plugins.frozen import FrozenMaps


class Perceptual(Regularizer):
    """Asks that a fake looks to a frozen network as the real image that it belongs to does.

        λ Σ_l 1/(F_l H_l W_l) |φ_l(G(z, y)) - φ_l(x)|²,    y the condition of x, φ_l a feature map, λ = ``weight``

    averaged over the batch; with ``distance: l1`` the absolute value takes the square's place. Images are (N, C, H, W)
    in [-1, 1]. Gradients pass through the network to the generator; none of its parameters or buffers changes. Each
    fake has to have a real image of its own: ``gan`` pairs them under a condition with ``fakes: batch``, a translator
    under paired data. The less the condition says of its image (a class, say), the more this term asks for the mean of
    all images under it; the condition ``latent`` says most.

    Raises:
        ValueError: fakes and reals have nothing to do with each other, the network cannot take the images, or it has no
            such layer.

    Source: Johnson, Alahi & Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016,
    equation 2 (feature reconstruction loss).
    """

    example: ClassVar[Mapping[str, Any]] = {"stages.gan.fakes": "batch", "stages.gan.regularizers": [...]}
    joins = frozenset({"generator"})

    def __init__(
        self,
        duel: Duel,
        *,
        network: Annotated[
            Use[Backbone] | Trained[Encoder],
            Field(description="the frozen network: a backbone, or the stage that trained an encoder"),
        ],
        layers: Annotated[
            list[str] | None, Field(min_length=1, description="names of the feature maps to compare; all if none")
        ] = None,
        distance: Annotated[Literal["l1", "l2"], Field(description="absolute or squared difference")] = "l2",
        **options: Any,
    ) -> None:
        super().__init__(duel, **options)
        if not duel.paired:
            raise ValueError(
                "perceptual compares a fake with the real image whose condition it was made from, and here fakes and "
                "reals are not paired; give the stage a condition (latent, say) and fakes: batch"
            )
        self.maps = FrozenMaps(network, duel.generator.sample_shape, layers)
        self.difference = {"l1": l1_loss, "l2": mse_loss}[distance]

    def penalty(self, match: Match) -> Tensor:
        with torch.no_grad():
            wanted = self.maps(match.real)
        found = self.maps(match.fake)
        return torch.stack([self.difference(found[name].float(), wanted[name].float()) for name in wanted]).sum()
