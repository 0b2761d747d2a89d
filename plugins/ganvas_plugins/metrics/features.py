"""What the metrics of a stage's encoder share: where they stand, their labels, and which images they are tested on."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from ganvas import Data, Encoded, Metric, Stage
from ganvas_plugins.metrics.held_out import HeldOutMetric


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


class HeldOutEncoderMetric(HeldOutMetric, EncoderMetric):
    """A metric that is fitted to the features of one part of the data and measured on those of another.

    Where a share of the stage's data is drawn for it, the encoder has seen these images, without labels, while it was
    trained. A subclass checks in its ``__init__`` that there are labels.
    """

    @property
    def protocol(self) -> Mapping[str, Any]:
        known = super().protocol
        drawn = known["tested on"] if self.data.held_out() is None else 0
        return {**known, "fitted to": len(self.data) - drawn}

    def parts(self, stage: Stage) -> tuple[Encoded, Encoded]:
        """What it is fitted to, and what it is measured on."""
        everything = stage.encoded()
        if stage.data.held_out() is not None:
            return everything, stage.encoded(held_out=True)
        fitted, tested = self.drawn(len(everything.features))
        return everything[fitted], everything[tested]
