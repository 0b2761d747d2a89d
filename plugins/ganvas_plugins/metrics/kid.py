"""Metric ``kid``: the kernel distance between features of real and generated images."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Measurement, Stage
from ganvas_plugins.metrics.comparison import FeatureMetric


class Kid(FeatureMetric):
    """Squared maximum mean discrepancy between the features x of real and y of generated images, without bias.

    With the kernel k(a, b) = (a·b / F + 1)^3 on features of width F, over subsets of m real and m generated images,

        KID = sum_{i != j} (k(x_i, x_j) + k(y_i, y_j)) / (m (m - 1)) - 2 sum_{i, j} k(x_i, y_j) / m^2,

    averaged over the subsets, each drawn without replacement; the deviation is that of the subsets. 0 in expectation
    for equal distributions, whatever the number of images, and now and then below; lower is better.

    Gives ``kid@EXTRACTOR``.

    Raises:
        ValueError: the subsets are larger than the number of images, or the extractor cannot work with these data.

    Source: Bińkowski, Sutherland, Arbel & Gretton, "Demystifying MMD GANs", 2018.
    """

    def __init__(
        self,
        data: Data,
        *,
        subsets: Annotated[int, Field(ge=1, description="over which it is averaged")] = 100,
        size: Annotated[int, Field(ge=2, description="m: images of each sort in a subset")] = 1000,
        seed: Annotated[int, Field(ge=0, description="draws the subsets")] = 0,
        **comparison: Any,
    ) -> None:
        super().__init__(data, **comparison)
        fewest = min(self.samples, self.real or self.samples)
        if size > fewest:
            raise ValueError(f"a subset of {size} images cannot be drawn from {fewest}; lower size to {fewest} at most")
        self.subsets, self.size, self.seed = subsets, size, seed

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"subsets": self.subsets, "size": self.size, "subsets' seed": self.seed, **super().protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        real, fake = self.real_features(stage).double(), self.fake_features(stage).double()
        if self.size > len(real):
            raise ValueError(
                f"a subset of {self.size} images cannot be drawn from {len(real)} real ones; "
                f"lower size to {len(real)} at most"
            )
        rng = torch.Generator("cpu").manual_seed(self.seed)

        def drawn(features: Tensor) -> Tensor:
            order = torch.randperm(len(features), generator=rng, device="cpu")
            return features[order[: self.size].to(features.device)]

        values = torch.stack([squared_discrepancy(drawn(real), drawn(fake)) for _ in range(self.subsets)])
        deviation = float(values.std(correction=0)) if self.subsets > 1 else None
        return {f"kid@{self.extractor.name}": Measurement(float(values.mean()), better="lower", deviation=deviation)}


def squared_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """The unbiased estimate from as many points of each sort, (m, F) and (m, F): a scalar."""
    number = len(first)
    within = sum(kernel.sum() - kernel.trace() for kernel in (_kernel(first, first), _kernel(second, second)))
    return within / (number * (number - 1)) - 2 * _kernel(first, second).mean()


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1) ** 3
