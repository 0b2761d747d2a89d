"""Metric ``clusters``: do the clusters of an encoder's features agree with the classes?"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from ganvas import Data, Measurement, Stage
from ganvas_plugins.conditions.clusters import kmeans
from ganvas_plugins.metrics.features import EncoderMetric, check_labels, known_labels

SILHOUETTES = 2000  # points among which silhouettes are computed: their number of distances grows with its square


class ClusterAgreement(EncoderMetric):
    """k-means clusters of the features, against the classes and by themselves; all are better the higher.

    purity        (1/N) sum_k max_c n_kc, with n_kc images of class c in cluster k: what a cluster's most frequent class
                  gets right. In (0, 1]; it grows with the number of clusters.
    adjusted-rand (R - E[R]) / (max R - E[R]), with R the pairs of images that clusters and classes both put together,
                  E[R] for clusters of these sizes drawn at random. 1 for the same partition, about 0 for chance.
    silhouette    mean of (b - a) / max(a, b), with a the mean distance to the others of its cluster and b that to the
                  nearest other cluster. In [-1, 1]; it uses no labels. 0 where all features fall into one cluster.

    What ``condition: clusters`` would give for this encoder.

    Gives ``clusters.purity``, ``clusters.adjusted-rand`` and ``clusters.silhouette``.

    Raises:
        ValueError: the data have no labels, or fewer images than clusters.

    Source: Manning, Raghavan & Schütze, "Introduction to Information Retrieval", 2008, section 16.3 (purity); Hubert &
    Arabie, "Comparing partitions", 1985, equation 5; Rousseeuw, "Silhouettes", 1987.
    """

    def __init__(
        self,
        data: Data,
        *,
        clusters: Annotated[
            int | None, Field(ge=2, description="number of clusters; that of the classes if none")
        ] = None,
        samples: Annotated[int, Field(ge=2, description="images, evenly spread over the data")] = 10_000,
        restarts: Annotated[int, Field(ge=1, description="k-means runs from other starts; the best is kept")] = 10,
        normalise: Annotated[bool, Field(description="clusters the directions of the features (unit length)")] = False,
        seed: Annotated[int, Field(ge=0, description="of the starts")] = 0,
    ) -> None:
        super().__init__(data)
        check_labels("clusters", data)
        self.clusters = clusters or max(2, len(data.classes))
        self.samples, self.restarts, self.normalise, self.seed = samples, restarts, normalise, seed

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {
            "clusters": self.clusters,
            "samples": min(self.samples, len(self.data)),
            "restarts": self.restarts,
            "normalise": self.normalise,
            "seed": self.seed,
        }

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        encoded = stage.encoded(self.samples)
        features = encoded.features.double()
        features = (F.normalize(features, dim=1) if self.normalise else features).cpu().numpy()
        if len(features) < self.clusters:
            raise ValueError(f"{len(features)} images cannot make {self.clusters} clusters; lower clusters")
        assigned = kmeans(features, self.clusters, restarts=self.restarts, seed=self.seed).labels_
        values = agreement(assigned, known_labels(encoded).cpu().numpy())
        values["silhouette"] = silhouette(features, assigned, seed=self.seed)
        return {f"clusters.{name}": Measurement(value, better="higher") for name, value in values.items()}


def agreement(clusters: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Purity and adjusted Rand index of two partitions, (N,) integers each."""
    from sklearn.metrics import adjusted_rand_score
    from sklearn.metrics.cluster import contingency_matrix

    counts = contingency_matrix(labels, clusters)
    return {
        "purity": float(counts.max(0).sum() / counts.sum()),
        "adjusted-rand": float(adjusted_rand_score(labels, clusters)),
    }


def silhouette(features: np.ndarray, clusters: np.ndarray, *, seed: int) -> float:
    """Mean silhouette of at most 2,000 points of (N, F), drawn at random; 0 where there is but one cluster."""
    from sklearn.metrics import silhouette_score

    chosen = np.random.default_rng(seed).permutation(len(features))[:SILHOUETTES]
    features, clusters = features[chosen], clusters[chosen]
    if not 1 < len(np.unique(clusters)) < len(clusters):
        return 0.0
    return float(silhouette_score(features, clusters))
