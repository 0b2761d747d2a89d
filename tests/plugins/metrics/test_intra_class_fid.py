"""The Fréchet distance within classes, in closed form."""

import logging

import pytest
import torch
import torch.nn.functional as F

from ganvas import Condition, Segment
from ganvas_plugins.metrics.comparison import warn_once
from ganvas_plugins.metrics.fid import Fid
from ganvas_plugins.metrics.frechet import Moments, frechet_distance
from ganvas_plugins.metrics.intra_class_fid import IntraClassFid

CENTRES = torch.tensor([[10.0, 0, 0], [0, 10, 0], [0, 0, 10]])


class OneHot(Condition):
    shape, segments = (3,), (Segment("one-hot", 3),)

    def __init__(self, data):
        super().__init__()

    def of(self, batch):
        return F.one_hot(batch["labels"], 3).float()


def noise(seed):
    return torch.randn(60, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def measured(drawn, itself):
    def measure(draw, samples=60, labels=None, **options):
        labels = [index % 3 for index in range(60)] if labels is None else labels
        real = CENTRES[torch.tensor(labels)] + noise(0)
        stage = drawn(real, condition=OneHot, labels=labels, draw=lambda rows: draw(rows)[:, None, None])
        metric = IntraClassFid(stage.data, extractor=lambda: itself(3), samples=samples, **options)
        return metric, stage, metric.measure(stage)

    return measure


def test_each_class_is_measured_on_its_own(measured):
    # The same noise, moved by another length in each class: |shift|^2.
    shifts = torch.tensor([0.0, 1.0, 3.0])
    metric, stage, found = measured(lambda rows: rows @ CENTRES + noise(0) + (rows @ shifts).unsqueeze(1))
    assert found["intra-class-fid@itself"].value == pytest.approx((0 + 3 + 27) / 3, abs=1e-5)
    assert found["intra-class-fid@itself.worst"].value == pytest.approx(27, abs=1e-5)
    assert {value.better for value in found.values()} == {"lower"}
    assert metric.protocol == {"samples": 60, "real": "all", "extractor": "itself"}
    assert metric.measure(stage) == found


def test_a_generator_that_swaps_classes_deceives_fid_but_not_this(measured, drawn, itself):
    def swapped(rows):
        return rows[:, [1, 2, 0]] @ CENTRES + noise(1)

    _, stage, found = measured(swapped)
    stage.given = swapped(torch.eye(3).repeat(20, 1))[:, None, None]
    whole = Fid(stage.data, extractor=lambda: itself(3), samples=60).measure(stage)["fid@itself"].value
    assert whole < 3
    assert found["intra-class-fid@itself"].value > 150


def test_a_part_of_the_real_images_goes_with_its_own_labels(measured):
    _, stage, found = measured(lambda rows: rows @ CENTRES + noise(1), real=12)  # every fifth
    chosen = torch.arange(0, 60, 5)
    features = stage.data.dataset.features[chosen]
    expected = []
    for one in range(3):
        fake = (CENTRES[torch.arange(60) % 3] + noise(1))[one::3]
        expected.append(frechet_distance(Moments.of(features[chosen % 3 == one]), Moments.of(fake)))
    assert found["intra-class-fid@itself"].value == pytest.approx(sum(expected) / 3, rel=1e-9)


def test_a_class_without_two_real_images_is_left_out(measured):
    labels = [0] * 30 + [1] * 29 + [2]
    _, _, found = measured(lambda rows: rows @ CENTRES + noise(0), labels=labels)
    assert found["intra-class-fid@itself.worst"].value < 10
    with pytest.raises(ValueError) as refusal:
        measured(lambda rows: rows @ CENTRES + noise(0), labels=[0] * 30 + [2] * 30, real=2)
    assert str(refusal.value) == "no class has two real images; take more of them (real)"


def test_few_samples_of_a_class(measured, caplog):
    with pytest.raises(ValueError) as refusal:
        measured(lambda rows: rows @ CENTRES, samples=5)
    assert str(refusal.value) == "5 samples make fewer than two of each of 3 classes; raise samples"
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "ganvas"):
        measured(lambda rows: rows @ CENTRES + noise(0)[: len(rows)], samples=9)
    assert caplog.messages == [
        "intra-class-fid@itself: 3 generated images of a class are too few for 3 features: their covariance has no "
        "full rank, and the distance is far too large; raise samples above 3 for each class, use an extractor with "
        "fewer features, or kid"
    ]
