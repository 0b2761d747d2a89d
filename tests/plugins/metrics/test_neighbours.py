import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ganvas_plugins.metrics.neighbours import Neighbours, same_class


def values(metric, stage):
    return [found.value for found in metric.measure(stage).values()]


def test_on_a_line_it_is_counted_by_hand(encoder_stage):
    # Nearest of each, by distance:  0 -> 1 2 3 4 5,  1 -> 0 3 ...
    places = torch.tensor([[0.0, 0], [1.0, 0], [3.0, 0], [7.0, 0], [15.0, 0], [31.0, 0]])
    labels = [0, 0, 1, 1, 0, 1]
    orders = [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [1, 0, 3, 4, 5], [2, 1, 0, 4, 5], [3, 2, 1, 0, 5], [4, 3, 2, 1, 0]]
    same = [[labels[other] == label for other in order] for label, order in zip(labels, orders)]
    assert same_class(places, torch.tensor(labels), torch.arange(6), distance="l1").tolist() == same
    stage = encoder_stage(places, labels)
    found = Neighbours(stage.data).measure(stage)
    assert list(found) == ["neighbours.1", "neighbours.2", "neighbours.5"]
    assert [found[f"neighbours.{rank}"].value for rank in (1, 2, 5)] == [
        pytest.approx(sum(row[rank - 1] for row in same) / 6) for rank in (1, 2, 5)
    ]


def test_an_image_is_not_its_own_neighbour(encoder_stage):
    # All different classes: only itself would be of the same one.
    stage = encoder_stage(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), list(range(8)))
    for distance in ("l1", "cosine"):
        assert values(Neighbours(stage.data, distance=distance), stage) == [0, 0, 0]


def test_separate_blobs_and_chance(encoder_stage, blobs):
    stage = encoder_stage(*blobs())
    for distance in ("l1", "cosine"):
        assert values(Neighbours(stage.data, distance=distance), stage) == [1, 1, 1]
    noise = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    stage = encoder_stage(noise, [index % 3 for index in range(3000)])
    assert values(Neighbours(stage.data), stage) == pytest.approx([1 / 3] * 3, abs=0.04)


@pytest.mark.parametrize("distance", ["l1", "cosine"])
def test_it_agrees_with_scikit_learn(distance, blobs):
    features, labels = blobs(spread=0.6)
    theirs = NearestNeighbors(n_neighbors=5, metric=distance, algorithm="brute").fit(features.double().numpy())
    nearest = torch.from_numpy(theirs.kneighbors(return_distance=False))  # of the fitted points: without themselves
    known = torch.tensor(labels)
    ours = same_class(features, known, torch.arange(len(known)), distance=distance)
    assert torch.equal(ours, known[nearest] == known.unsqueeze(1))


def test_the_distance_is_the_one_asked_for():
    features = torch.tensor([[1.0, 0], [9.0, 0.5], [0.5, 1.0], [0, 3.0], [0, 4.0], [0, 5.0]])
    labels = torch.tensor([0, 0, 1, 2, 3, 4])
    first = {d: same_class(features, labels, torch.tensor([0]), distance=d)[0, 0].item() for d in ("l1", "cosine")}
    assert first == {"l1": False, "cosine": True}


def test_only_some_images_ask_but_all_may_answer(encoder_stage, blobs):
    features, labels = blobs(number=20)
    stage = encoder_stage(features, labels)
    metric = Neighbours(stage.data, samples=6)
    asked = torch.tensor([0, 10, 20, 30, 40, 50])
    expected = same_class(features, torch.tensor(labels), asked, distance="l1").double().mean(0)
    assert values(metric, stage) == pytest.approx(expected[[0, 1, 4]].tolist())
    assert metric.protocol == {"distance": "l1", "samples": 6, "among": 60}


def test_five_others_must_be_there(encoder_stage):
    stage = encoder_stage(torch.randn(5, 2), [0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"^5 images have no neighbour of rank 5; give it more data$"):
        Neighbours(stage.data).measure(stage)
