"""Clusters of an earlier encoder's features as the condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ganvas import Data, Encoder, Segment, Trained
from ganvas_plugins.conditions.encoded import EncodedCondition
from ganvas_plugins.conditions.one_hot import named_index, one_hot


class Clusters(EncodedCondition):
    """The nearest of K k-means centroids in feature space, as one-hot vectors (N, K): labels for data without any.

    y(x) = argmin_k |h(x) - c_k|^2, where h is the encoder of an earlier stage and the c_k minimise the sum of squared
    distances over the data. Clusters are numbered by size, the largest first.
    Source: Kinakh, Drozdova, Quétant, Golling & Voloshynovskiy, "Information-theoretic stochastic contrastive
    conditional GAN: InfoSCC-GAN", 2021; k-means: Lloyd, "Least squares quantization in PCM", 1982.
    """

    def __init__(
        self,
        data: Data,
        *,
        encoder: Annotated[Trained[Encoder], Field(description="stage whose encoder's features are clustered")],
        clusters: Annotated[int, Field(ge=2, description="number of clusters")] = 10,
        samples: Annotated[
            int | None, Field(ge=2, description="fits the centroids to so many samples drawn at random; left out: all")
        ] = None,
        restarts: Annotated[int, Field(ge=1, description="k-means runs from other starts; the best is kept")] = 10,
        normalise: Annotated[bool, Field(description="clusters the directions of the features (unit length)")] = False,
        balanced: Annotated[
            bool, Field(description="samples all clusters equally often; else as often as the data have them")
        ] = True,
    ) -> None:
        super().__init__(data, encoder)
        if samples is not None and samples < clusters:
            raise ValueError(f"{samples} samples cannot make {clusters} clusters; raise samples or leave it out")
        self.samples, self.restarts, self.normalise, self.balanced = samples, restarts, normalise, balanced
        self.shape = (clusters,)
        self.names: Sequence[str] = [f"cluster {number}" for number in range(clusters)]
        self.segments = [Segment("one-hot", clusters)]
        self.register_buffer("centroids", torch.zeros(clusters, encoder.features))
        self.register_buffer("frequencies", torch.full((clusters,), 1 / clusters))

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        """Fits the centroids."""
        clusters = self.shape[0]
        seed = int(torch.randint(2**31 - 1, (), generator=rng, device=rng.device))
        features = self.drawn(data, rng, self.samples).numpy()
        if len(features) < clusters:
            raise ValueError(f"{len(features)} samples cannot make {clusters} clusters; take fewer clusters")
        fit = kmeans(features, clusters, restarts=self.restarts, seed=seed)
        counts = np.bincount(fit.labels_, minlength=clusters)
        order = np.argsort(-counts, kind="stable")
        self.centroids.copy_(torch.from_numpy(fit.cluster_centers_[order]))
        self.frequencies.copy_(torch.from_numpy(counts[order] / counts.sum()))

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F), what is clustered."""
        features = super().features(images)
        return F.normalize(features, dim=1) if self.normalise else features

    @torch.no_grad()
    def derived(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N,), the number of each image's cluster."""
        # The matrix product that cdist takes by default rounds differently for another size of the batch.
        distances = torch.cdist(self.features(images), self.centroids, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.argmin(1)

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The clusters of a batch, one-hot (N, K); while training, each sample is encoded only once."""
        return one_hot(self.known(batch), self.shape[0])

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        if self.balanced:
            chosen = torch.randint(self.shape[0], (number,), generator=rng, device=rng.device)
        else:
            shares = torch.rand(number, generator=rng, device=rng.device)
            chosen = torch.searchsorted(self.frequencies.cumsum(0), shares, right=True).clamp(max=self.shape[0] - 1)
        return one_hot(chosen, self.shape[0])

    def parse(self, value: Any) -> Tensor:
        """A cluster's number, or its name ("cluster 3")."""
        return one_hot(torch.tensor([named_index(value, self.names, "cluster")]), self.shape[0])[0]


def kmeans(features: np.ndarray, clusters: int, *, restarts: int, seed: int) -> Any:
    """scikit-learn's k-means, fitted to (N, F): ``labels_`` (N,) and ``cluster_centers_`` (K, F)."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # Threads would add up their shares in any order, and the centroids differ in the last bits from run to run.
    with threadpool_limits(limits=1):
        return KMeans(clusters, n_init=restarts, random_state=seed).fit(features)
