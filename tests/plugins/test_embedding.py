"""A feature space as a picture."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ganvas_plugins.embedding import scatter, tsne


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    return 6 * np.eye(10)[labels] + rng.normal(size=(90, 10)), labels


def test_neighbourhoods_stay_and_the_seed_decides(blobs):
    features, labels = blobs
    points = tsne(features, seed=0)
    assert points.shape == (90, 2)
    apart = cdist(points, points) + 1e9 * np.eye(90)
    assert (labels[apart.argmin(1)] == labels).mean() == 1
    assert np.array_equal(points, tsne(features, seed=0))


def test_few_points_and_a_collapsed_encoder(blobs):
    assert np.isfinite(tsne(blobs[0][:4], seed=0)).all()
    assert np.array_equal(tsne(np.ones((20, 8)), seed=0), np.zeros((20, 2)))


def test_the_picture_shows_each_class_in_a_colour_of_its_own(blobs):
    features, labels = blobs
    names = ["round", "square", "long"]
    picture = scatter(features[:, :2], labels, names)
    assert picture.shape == (640, 640, 3)
    assert picture.dtype == np.uint8
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)}
    tab10 = [(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)]  # Matplotlib's first four
    assert [colour in colours for colour in tab10] == [True, True, True, False]
    plain = {tuple(colour) for colour in scatter(features[:, :2], None, []).reshape(-1, 3)}
    assert [colour in plain for colour in tab10] == [True, False, False, False]


def test_many_classes_have_colours_but_no_legend(blobs):
    labels = np.arange(90) % 45
    assert scatter(blobs[0][:, :2], labels, [str(label) for label in range(45)]).shape == (640, 640, 3)
