"""Generators that draw the class of the image they are conditioned on, or do not."""

import pytest
import torch

from ganvas import Condition, Segment
from ganvas_plugins.metrics.condition_accuracy import ConditionAccuracy

LABELS = [index % 4 for index in range(200)]


class Features(Condition):
    """An image's own numbers: known for real images, and nothing about their class."""

    shape, segments = (4,), (Segment("continuous", 4),)

    def __init__(self, data):
        super().__init__()

    def of(self, batch):
        return 2 * batch["images"].flatten(1)


class Code(Features):
    observed = False


def real():
    return torch.eye(4)[torch.tensor(LABELS)] + 0.1 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def measured(drawn, itself):
    def measure(draw, condition=Features, labels=LABELS, classes=4, **options):
        stage = drawn(real(), labels=labels, condition=condition, draw=lambda rows: draw(rows)[:, None, None])
        metric = ConditionAccuracy(stage.data, extractor=lambda: itself(4, classes=classes), **options)
        metric.check(stage.algorithm)
        (found,) = metric.measure(stage).items()
        assert found[0] == "condition-accuracy@itself"
        assert found[1].better == "higher"
        return found[1].value, metric

    return measure


def test_one_for_a_generator_that_gives_the_image_back(measured):
    value, metric = measured(lambda rows: rows / 2)
    assert value == 1
    assert metric.protocol == {"samples": 2000, "extractor": "itself"}


def test_one_in_k_for_a_generator_that_does_not_listen(measured):
    assert measured(lambda rows: torch.eye(4)[torch.zeros(len(rows)).long()])[0] == 0.25
    assert measured(lambda rows: rows[:, [1, 0, 2, 3]])[0] == 0.5


def test_the_images_are_evenly_spread(measured):
    seen = []
    measured(lambda rows: seen.append(rows) or rows, samples=50)
    assert torch.equal(torch.cat(seen), 2 * real()[::4])


def test_refusals(measured, drawn):
    def refused(**options):
        with pytest.raises(ValueError) as refusal:
            measured(lambda rows: rows, **options)
        return str(refusal.value)

    unconditional = (
        "condition-accuracy needs a stage whose condition is made of real images; use latent, clusters or labels, or "
        "drop the metric"
    )
    assert refused(condition=None) == unconditional
    assert refused(condition=Code) == unconditional
    assert refused(labels=None) == "condition-accuracy needs labels, and these data give images; use data with classes"
    assert refused(classes=3) == (
        "itself tells 3 classes apart, the data have 4; use the extractor classifier, or a stage that learned these "
        "labels"
    )
