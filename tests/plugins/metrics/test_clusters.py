import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from ganvas_plugins.metrics.clusters import ClusterAgreement, agreement, silhouette


def test_other_numbers_for_the_same_clusters_agree_entirely():
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    assert agreement(np.array([2, 0, 1])[labels], labels) == {"purity": 1.0, "adjusted-rand": 1.0}


def test_purity_and_adjusted_rand_by_hand():
    # Clusters of three and four: 2 of 3 and 3 of 4 are of the most frequent class.
    clusters, labels = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1, 0])
    found = agreement(clusters, labels)
    assert found["purity"] == pytest.approx(5 / 7)
    # Pairs together in both: 1 + 3; in clusters: 3 + 6; in classes: 3 + 6; of all: 21.
    expected = 9 * 9 / 21
    assert found["adjusted-rand"] == pytest.approx((4 - expected) / (9 - expected))


def test_one_cluster_has_the_purity_of_the_largest_class():
    found = agreement(np.zeros(10, int), np.array([0] * 6 + [1] * 4))
    assert found["purity"] == pytest.approx(0.6)
    assert found["adjusted-rand"] == pytest.approx(0)


def test_separate_blobs(encoder_stage, blobs):
    features, labels = blobs()
    stage = encoder_stage(features, labels)
    found = ClusterAgreement(stage.data, restarts=2).measure(stage)
    assert {name: value.better for name, value in found.items()} == {
        "clusters.purity": "higher",
        "clusters.adjusted-rand": "higher",
        "clusters.silhouette": "higher",
    }
    assert found["clusters.purity"].value == found["clusters.adjusted-rand"].value == 1.0
    expected = silhouette_score(features.double().numpy(), labels)
    assert found["clusters.silhouette"].value == pytest.approx(expected)


def test_directions_are_clustered_where_asked(encoder_stage, blobs):
    features, labels = blobs(spread=0.02)
    rng = torch.Generator().manual_seed(0)
    features = features * 10 ** torch.rand(len(features), 1, generator=rng)  # lengths that hide the directions
    stage = encoder_stage(features, labels)
    purity = {
        normalise: ClusterAgreement(stage.data, normalise=normalise).measure(stage)["clusters.purity"].value
        for normalise in (False, True)
    }
    assert purity[True] == 1.0
    assert purity[False] < 0.9


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_a_collapsed_encoder_has_numbers_too(encoder_stage):
    stage = encoder_stage(torch.ones(30, 4), [index % 3 for index in range(30)])
    found = ClusterAgreement(stage.data).measure(stage)
    assert found["clusters.purity"].value == pytest.approx(1 / 3)
    assert found["clusters.adjusted-rand"].value == pytest.approx(0)
    assert found["clusters.silhouette"].value == 0


def test_a_silhouette_of_many_points_is_that_of_some(blobs):
    features, labels = blobs(number=1000, spread=0.3)
    found = silhouette(features.numpy(), np.array(labels), seed=0)
    assert found == pytest.approx(silhouette_score(features.numpy(), labels), abs=0.02)
    assert found == silhouette(features.numpy(), np.array(labels), seed=0)


def test_more_clusters_than_images_are_refused(encoder_stage, blobs):
    stage = encoder_stage(*blobs(number=2))
    with pytest.raises(ValueError, match=r"^6 images cannot make 7 clusters; lower clusters$"):
        ClusterAgreement(stage.data, clusters=7).measure(stage)
    assert ClusterAgreement(stage.data, clusters=4, samples=5, restarts=3, seed=2).protocol == {
        "clusters": 4,
        "samples": 5,
        "restarts": 3,
        "normalise": False,
        "seed": 2,
    }
