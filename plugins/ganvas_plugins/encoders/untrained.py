"""Encoder ``untrained``: a network with the weights it was born with."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from ganvas import Backbone, Encoder, Terms


class Untrained(Encoder):
    """The lower reference: the backbone as it was initialised, from the stage's seed.

    f(x) with random weights keeps enough of an image for its neighbours to look alike. Nothing is learned: there are no
    views and no terms, and the weights at the end are those at the start, batch norm's statistics included.

    ``objective`` takes no view and gives no terms; ``encode`` takes (N, C, H, W) in [-1, 1] and gives (N, F).

    Source: Durall et al., "Latent Space Conditioning on Generative Adversarial Networks", 2021, section 4.1.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]] = ()

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.features

    def objective(self, *views: Tensor) -> Terms:
        return {}

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)
