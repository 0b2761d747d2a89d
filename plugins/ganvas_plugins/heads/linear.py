"""``head: linear``."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ganvas import Critique, Head


class LinearHead(Head):
    """A linear score of the trunk's features, with no regard to the condition.

    s(f) = w·f + b, once per sample for flat features (N, F), once per place for maps (N, F, *S). A ``kernel`` wider
    than one is for images' maps (N, F, H, W): w then spans a window of that many places each way, padded by
    (kernel - 1) // 2, so an even kernel makes the map of scores one place smaller each way. pix2pix's discriminator
    ends in such a window of 4.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014; for maps Isola et al., "Image-to-Image Translation
    with Conditional Adversarial Networks", 2017, section 6.1.2.
    """

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        kernel: Annotated[int, Field(ge=1, description="places each way that a score of a feature map sees")] = 1,
    ) -> None:
        super().__init__()
        self.score = (
            nn.Linear(features, 1) if kernel == 1 else nn.Conv2d(features, 1, kernel, padding=(kernel - 1) // 2)
        )

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        if isinstance(self.score, nn.Linear):
            return Critique(self.score(features.movedim(1, -1)).squeeze(-1))
        return Critique(self.score(features).squeeze(1))
