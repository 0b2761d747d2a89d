"""What the metrics share that are fitted to one part of the data and measured on another: which part is which."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Metric


class HeldOutMetric(Metric):
    """A metric that is measured on real images that nothing was fitted to.

    What the dataset holds out (``holdout``, or a test split of its own) is the part that is measured on. Where it holds
    nothing out, a share of the stage's data is drawn for it: the stage has then seen these images while it was trained,
    which the protocol says.
    """

    def __init__(
        self,
        data: Data,
        *,
        share: Annotated[
            float, Field(gt=0, lt=1, description="of the data that is measured on, where the dataset holds nothing out")
        ] = 0.2,
        seed: Annotated[int, Field(ge=0, description="draws that share")] = 0,
    ) -> None:
        super().__init__(data)
        self.share = share
        self.seed = seed

    @property
    def protocol(self) -> Mapping[str, Any]:
        held = self.data.held_out()
        if held is not None:
            return {"test": "held out by the data", "tested on": len(held)}
        return {
            "test": f"a share of {self.share:g} of the training images, drawn with seed {self.seed}",
            "tested on": len(self.drawn(len(self.data))[1]),
        }

    def drawn(self, number: int) -> tuple[Tensor, Tensor]:
        """Which of so many images it is fitted to, and which it is measured on, in their order."""
        order = torch.randperm(number, generator=torch.Generator().manual_seed(self.seed), device="cpu")
        held = min(max(1, round(self.share * number)), number - 1)
        return order[held:].sort().values, order[:held].sort().values
