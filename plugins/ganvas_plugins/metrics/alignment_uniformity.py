"""Metric ``alignment-uniformity``: do views of an image fall together, and do images spread over the sphere?"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas_plugins.metrics.features import EncoderMetric

BATCH = 256


class AlignmentUniformity(EncoderMetric):
    """The two properties that contrastive learning asks of normalised features f; both are better the lower.

    alignment  = E_{(x, x+)} |f(x) - f(x+)|^a,           over pairs of views of one image;
    uniformity = log E_{x, y} exp(-t |f(x) - f(y)|^2),   over pairs of different images.

    Alignment is in [0, 2^a]: 0 for features that are the same for all views, a collapsed encoder's among them.
    Uniformity is in [-4t, 0]: 0 for a collapsed encoder, and for a uniform distribution on a sphere of many dimensions
    about -2t. They need no labels, and are read together.

    The views are those that the stage trained on, its first two (two draws where it has one view); uniformity is that
    of the images as they are. A stage that makes no views gives ``uniformity`` alone.

    Gives ``alignment-uniformity.alignment`` and ``alignment-uniformity.uniformity``.

    Source: Wang & Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", 2020, section 4.
    """

    def __init__(
        self,
        data: Data,
        *,
        alpha: Annotated[float, Field(gt=0, description="a, the power of the distances between views")] = 2.0,
        t: Annotated[
            float, Field(gt=0, description="of the Gaussian kernel: the larger, the nearer the pairs that count")
        ] = 2.0,
        samples: Annotated[int, Field(ge=2, description="images, evenly spread over the data")] = 2000,
    ) -> None:
        super().__init__(data)
        self.alpha = alpha
        self.t = t
        self.samples = samples

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"alpha": self.alpha, "t": self.t, "samples": min(self.samples, len(self.data))}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        encoded = stage.encoded(self.samples)
        values = {"uniformity": uniformity(encoded.features, self.t)}
        if (alignment := self._alignment(stage, encoded.index)) is not None:
            values["alignment"] = alignment
        return {f"alignment-uniformity.{name}": Measurement(value, better="lower") for name, value in values.items()}

    def _alignment(self, stage: Stage, index: Tensor) -> float | None:
        if not hasattr(stage.algorithm, "views"):
            return None
        algorithm: Any = stage  # its algorithm's methods are called as the stage's own: in eval mode, without gradients
        rng = torch.Generator(stage.device).manual_seed(stage.seed)
        distances = []
        for batch in stage.data.batches(BATCH, indices=index):
            views = algorithm.views(batch["images"], rng)
            if not views:
                return None
            if len(views) == 1:
                views += algorithm.views(batch["images"], rng)
            first, second = (algorithm.encode(view) for view in views[:2])
            distances.append(apart(first, second, self.alpha))
        return float(torch.cat(distances).mean())


def apart(first: Tensor, second: Tensor, power: float) -> Tensor:
    """|f - g|^a of normalised rows: (N, F), (N, F) -> (N,) in float64."""
    first, second = (F.normalize(features.flatten(1).double(), dim=1) for features in (first, second))
    return torch.linalg.vector_norm(first - second, dim=1) ** power


def uniformity(features: Tensor, t: float) -> float:
    """log of the mean of exp(-t |f - g|^2) over all pairs of different rows of (N, F), normalised."""
    features = F.normalize(features.double(), dim=1)
    total, number = features.new_full((), -torch.inf), len(features)
    for start in range(0, number, BATCH):
        part = features[start : start + BATCH]
        squares = 2 - 2 * part @ features[start:].T
        later = torch.ones_like(squares, dtype=torch.bool).triu(1)  # each pair once, none with itself
        total = torch.logaddexp(total, torch.logsumexp(-t * squares[later], dim=0))
    return float(total - torch.tensor(number * (number - 1) / 2, dtype=torch.double).log().to(total.device))
