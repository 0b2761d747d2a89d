"""Metric ``memorisation``: are samples nearer to the training images than real images are that training never saw?"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Preview, Stage
from ganvas.kinds.data import evenly
from ganvas_plugins.metrics.comparison import FeatureMetric, real_features
from ganvas_plugins.metrics.distances import nearest


class Memorisation(FeatureMetric):
    """Distances to the nearest training image: of generated images against those of held-out real ones.

    With d(p) the distance in feature space from p to the nearest training image, for generated images y and real ones x
    that the data hold out of training,

        nearer = P(d(y) < d(x)) + P(d(y) = d(x)) / 2,      distance = median d(y) / median d(x).

    ``nearer`` is 1/2 where samples are as new as unseen images, and 1 where they are copies; below 1/2 they are farther
    from the data than real images, which is bad quality, not novelty. ``distance`` is 1 and 0 in the same two cases.
    The picture shows the samples that are nearest to a training image, each followed by that image.

    Gives ``memorisation@EXTRACTOR.nearer`` (lower is better) and ``memorisation@EXTRACTOR.distance`` (higher).

    Raises:
        ValueError: the data hold nothing out, most of what they hold out is in the training data too, or the extractor
            cannot work with them.

    Source: Meehan, Chaudhuri & Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models", 2020
    (``nearer`` is their Mann-Whitney statistic over the whole space, as a probability).
    """

    example: ClassVar[Mapping[str, Any]] = {
        "dataset": {"use": "mnist-5k", "holdout": 0.1},
        "stages.gan.evaluate.metrics": [...],
    }

    def __init__(
        self,
        data: Data,
        *,
        pictures: Annotated[int, Field(ge=0, description="samples that are shown with their nearest image")] = 16,
        **comparison: Any,
    ) -> None:
        super().__init__(data, **comparison)
        if data.held_out() is None:
            raise ValueError(
                "memorisation compares with real images that training did not see, and these data hold none out; "
                "give the dataset the option holdout, or drop the metric"
            )
        self.pictures = pictures
        self._shown: Preview | None = None

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"held out": "as many as samples, or all", **super().protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        known, fake = self.real_features(stage), self.fake_features(stage)
        unseen = real_features(stage, self.extractor, self.samples, held_out=True)
        (made, which), (held, _) = nearest(fake, known), nearest(unseen, known)
        typical = float(held.median())
        if not typical:
            raise ValueError(
                "half of the images that the data hold out are in the training data too; remove what is there twice"
            )
        self._shown = self._picture(stage, made, which, len(known)) if self.pictures else None
        label = f"memorisation@{self.extractor.name}"
        return {
            f"{label}.nearer": Measurement(probability_below(made, held), better="lower"),
            f"{label}.distance": Measurement(float(made.median()) / typical, better="higher"),
        }

    def previews(self) -> dict[str, Preview]:
        return {} if self._shown is None else {f"memorisation@{self.extractor.name}": self._shown}

    def _picture(self, stage: Stage, distances: Tensor, which: Tensor, number: int) -> Preview:
        """Samples with a small distance, the nearest first, and their nearest training image (``which`` of number)."""
        order = distances.argsort(stable=True)[: self.pictures]
        fakes = stage.fakes(self.samples)[0]
        place = evenly(len(stage.data), number)[which[order].cpu()]
        originals = torch.cat([batch["images"] for batch in stage.data.batches(indices=place)])
        fakes = fakes[order.to(fakes.device)].to(originals)
        return Preview(torch.stack([fakes, originals], dim=1).flatten(0, 1), columns=8)


def probability_below(first: Tensor, second: Tensor) -> float:
    """P(a < b) + P(a = b) / 2 for a of the first (N,) and b of the second (M,)."""
    ordered = second.sort().values
    below = torch.searchsorted(ordered, first.contiguous(), right=False)
    not_above = torch.searchsorted(ordered, first.contiguous(), right=True)
    above = len(second) - (below + not_above).double() / 2
    return float(above.mean() / len(second))
