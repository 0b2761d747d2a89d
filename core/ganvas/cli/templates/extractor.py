"""``extractor: template-name``."""

from typing import Annotated, Any

from ganvas import Extractor
from pydantic import Field
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


class Template(Extractor):
    """Tiny grey images: what remains of an image at a few pixels a side, as features.

        f(x) = the means of the grey image over a grid of S by S boxes,    (N, S²),    S = ``side``

    Nothing is learned or fetched, and no feature knows what an image shows: a distance over them compares layout and
    brightness alone, which makes it a baseline for those that are meant to see more. Takes images (N, C, H, W) in
    [-1, 1] of any size; grey is the mean of the channels.

    Source: Torralba, Fergus and Freeman, "80 Million Tiny Images: A Large Data Set for Nonparametric Object and Scene
    Recognition", 2008, section 3.
    """

    name = "template-name"

    def __init__(
        self,
        *,
        side: Annotated[int, Field(ge=1, description="S, pixels a side")] = 8,
    ) -> None:
        super().__init__()
        self.side = side
        self.features = side * side

    @property
    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.name, "side": self.side}

    def forward(self, images: Tensor) -> Tensor:
        return adaptive_avg_pool2d(images.float().mean(1, keepdim=True), self.side).flatten(1)
