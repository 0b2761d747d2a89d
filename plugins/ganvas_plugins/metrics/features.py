"""What the metrics of a stage's encoder share: where they stand, their labels, and which images they are tested on."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Encoded, Metric, Stage


def check_labels(name: str, data: Data) -> None:
    """Raises ``ValueError`` for data without classes."""
    if "labels" not in data.fields or not data.classes:
        given = ", ".join(data.fields)
        raise ValueError(
            f"{name} needs labels, and these data give {given}; "
            "measure alignment-uniformity, which needs none, or use data with classes"
        )


def known_labels(encoded: Encoded) -> Tensor:
    """The labels of data that ``check_labels`` let through."""
    assert encoded.labels is not None
    return encoded.labels


class EncoderMetric(Metric):
    """A metric of what a stage's encoder makes of images."""

    needs: ClassVar[frozenset[str]] = frozenset({"encode"})
    example: ClassVar[Mapping[str, Any]] = {"stages.features.evaluate.metrics": [...]}


class HeldOutMetric(EncoderMetric):
    """A metric that is fitted to the features of one part of the data and measured on those of another.

    What the dataset holds out (``holdout``, or a test split of its own) is the part that is measured on. Where it holds
    nothing out, a share of the stage's data is drawn for it: the encoder has then seen these images, without labels,
    while it was trained, which the protocol says. A subclass checks in its ``__init__`` that there are labels.
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
            return {"test": "held out by the data", "fitted to": len(self.data), "tested on": len(held)}
        tested = self._drawn(len(self.data))[1]
        return {
            "test": f"a share of {self.share:g} of the training images, drawn with seed {self.seed}",
            "fitted to": len(self.data) - len(tested),
            "tested on": len(tested),
        }

    def parts(self, stage: Stage) -> tuple[Encoded, Encoded]:
        """What it is fitted to, and what it is measured on."""
        everything = stage.encoded()
        if stage.data.held_out() is not None:
            return everything, stage.encoded(held_out=True)
        fitted, tested = self._drawn(len(everything.features))
        return everything[fitted], everything[tested]

    def _drawn(self, number: int) -> tuple[Tensor, Tensor]:
        order = torch.randperm(number, generator=torch.Generator().manual_seed(self.seed), device="cpu")
        held = min(max(1, round(self.share * number)), number - 1)
        return order[held:].sort().values, order[:held].sort().values
