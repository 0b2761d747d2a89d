"""Metric ``chamfer``: how far is each real image from the nearest sample, and each sample from the nearest image?"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas.kinds.data import evenly
from ganvas_plugins.embedding import tsne
from ganvas_plugins.metrics.comparison import FeatureMetric
from ganvas_plugins.metrics.distances import nearest

DIMENSIONS = 3


class Chamfer(FeatureMetric):
    """Chamfer distance between the features x of N real and y of M generated images.

    ``variant: features``, in the space of the features, both directions,

        (1/N) sum_i min_j |x_i - y_j|^2 + (1/M) sum_j min_i |y_j - x_i|^2,

    0 if and only if both sets hold the same points, and 2 |c|^2 where one is the other moved by a short c.

    ``variant: embedded``, that of InfoSCC-GAN: one t-SNE takes ``points`` real and as many generated images together to
    three dimensions, where x' and y' are what it makes of x and y; one direction, and no mean,

        sum_i min_j |x'_i - y'_j|^2.

    It grows with the number of points, and its scale is what t-SNE makes of it, so it compares only at the same
    ``points``, ``perplexity`` and ``seed``. The t-SNE takes some 20 seconds on one core for the 1,000 points of each
    sort that are the default, and more than twice as long for twice as many. The paper's extractor is its encoder:
    ``{use: stage, stage: features}``.

    Lower is better. Gives ``chamfer@EXTRACTOR`` or ``chamfer@EXTRACTOR.embedded``.

    Raises:
        ValueError: the points are too few for the perplexity, the extractor cannot work with these data, or some
            features are not finite.

    Source: Fan, Su & Guibas, "A Point Set Generation Network for 3D Object Reconstruction from a Single Image", 2017,
    equation 1 (there sums, here means); Kinakh et al., "Information-theoretic stochastic contrastive conditional GAN:
    InfoSCC-GAN", 2021, section 4 (embedded).
    """

    def __init__(
        self,
        data: Data,
        *,
        variant: Annotated[
            Literal["features", "embedded"],
            Field(description="both directions among the features, or one direction in their joint t-SNE"),
        ] = "features",
        points: Annotated[
            int, Field(ge=2, description="embedded: real images, evenly spread, and as many generated ones")
        ] = 1000,
        perplexity: Annotated[float, Field(ge=1, description="embedded: how many neighbours t-SNE keeps close")] = 30.0,
        seed: Annotated[int, Field(ge=0, description="embedded: of the t-SNE")] = 0,
        **comparison: Any,
    ) -> None:
        super().__init__(data, **comparison)
        self.variant, self.points, self.perplexity, self.seed = variant, points, perplexity, seed
        if variant == "embedded":
            self._check_perplexity(min(points, self.samples) + min(points, self.real or points))

    @property
    def protocol(self) -> Mapping[str, Any]:
        known: dict[str, Any] = {"variant": self.variant, **super().protocol}
        if self.variant == "embedded":
            known |= {
                "points": self.points,
                "embedding": f"t-SNE to {DIMENSIONS} dimensions, perplexity {self.perplexity:g}, seed {self.seed}",
            }
        return known

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        real, fake = self.real_features(stage), self.fake_features(stage)
        label = f"chamfer@{self.extractor.name}"
        if self.variant == "features":
            return {label: Measurement(distance(real, fake), better="lower")}
        return {f"{label}.embedded": Measurement(self._embedded(real, fake), better="lower")}

    def _embedded(self, real: Tensor, fake: Tensor) -> float:
        real, fake = real[evenly(len(real), self.points).to(real.device)], fake[: self.points]
        both = torch.cat([real, fake.to(real.device)]).cpu().numpy()
        self._check_perplexity(len(both))
        placed = tsne(both, self.seed, dimensions=DIMENSIONS, perplexity=self.perplexity)
        first, second = torch.from_numpy(placed).tensor_split([len(real)])
        return float(one_way(first, second).sum())

    def _check_perplexity(self, points: int) -> None:
        """t-SNE looks at three times as many neighbours as the perplexity says."""
        if 3 * self.perplexity > points - 1:
            raise ValueError(
                f"{points} points are too few for a t-SNE of perplexity {self.perplexity:g}; raise points, samples and "
                f"real, or lower perplexity to {(points - 1) // 3} at most"
            )


def one_way(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance of each point (N, F) to the nearest of (M, F), (N,) in float64."""
    return nearest(first, second)[0].square()


def distance(first: Tensor, second: Tensor) -> float:
    """The sum of both directions' means, of (N, F) and (M, F)."""
    return float(one_way(first, second).mean() + one_way(second, first).mean())
