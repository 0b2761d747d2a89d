"""A classifier that is trained on samples: of generators that replay real digits, under right and wrong labels."""

import pytest
import torch
import torch.nn.functional as F

from ganvas import Algorithm, Data
from ganvas.engine.evaluation import TrainedStage
from ganvas_plugins.conditions.code import Code
from ganvas_plugins.conditions.labels import Labels
from ganvas_plugins.conditions.none import NoCondition
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.extractors import judge
from ganvas_plugins.metrics.classification_accuracy_score import ClassificationAccuracyScore

NAME = "classification-accuracy-score@classifier"


class Replay(Algorithm):
    """Draws real images of the class it is asked for."""

    def __init__(self, data, condition):
        super().__init__(data)
        self.condition = condition

    def networks(self):
        return {}

    def updates(self):
        return []

    def sample(self, number, condition=None, rng=None):
        raise NotImplementedError


class Stage(TrainedStage):
    made = None

    def fakes(self, number):
        images, labels = self.made
        return images[:number], F.one_hot(labels[:number], 10).float()


@pytest.fixture
def stage_of(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))

    def make(made=None, condition=Labels, **dataset):
        data = Data(Digits(**dataset))
        stage = Stage("gan", Replay(data, condition(data)), data, torch.device("cpu"), seed=0)
        stage.made = made
        return stage

    return make


def whole(data, indices=None):
    parts = list(data.batches(indices=indices))
    return torch.cat([part["images"] for part in parts]), torch.cat([part["labels"] for part in parts]).long()


def measured(stage, **options):
    metric = ClassificationAccuracyScore(stage.data, training=60, **options)
    (found,) = metric.measure(stage).items()
    assert (found[0], found[1].better) == (NAME, "higher")
    return found[1].value, metric.protocol


def test_samples_that_are_the_real_images_score_what_these_do(stage_of):
    """To the bit: the same network is trained on the same images."""
    stage = stage_of(holdout=0.2)
    stage.made = whole(stage.data)
    number = len(stage.data)
    value, protocol = measured(stage, samples=number)
    assert value == protocol.pop("accuracy after real images") > 0.85
    assert protocol == {
        "samples": number,
        "training": 60,
        "seed": 0,
        "classifier": judge.VERSION,
        "test": "held out by the data",
        "tested on": 359,
        "real images": number,
    }
    share = stage_of()
    metric = ClassificationAccuracyScore(share.data, share=0.3, seed=2)
    fitted, tested = metric.drawn(1797)
    share.made = whole(share.data, fitted)
    value, protocol = measured(share, samples=len(fitted), share=0.3, seed=2)
    assert value == protocol["accuracy after real images"] > 0.85
    assert protocol["test"] == "a share of 0.3 of the training images, drawn with seed 2"
    assert (protocol["tested on"], protocol["real images"]) == (len(tested), len(fitted)) == (539, 1258)


def test_wrong_classes_few_pictures_and_fewer_real_images(stage_of, monkeypatch):
    stage = stage_of(holdout=0.2)
    images, labels = whole(stage.data)
    stage.made = images[:500], labels[:500]
    good, protocol = measured(stage, samples=500)
    assert good == pytest.approx(protocol["accuracy after real images"], abs=0.06)
    assert protocol["real images"] == 500
    # What real images make of it is kept: another generator is measured with one training.
    trained = []
    monkeypatch.setattr(
        "ganvas_plugins.metrics.classification_accuracy_score.train",
        lambda images, targets, *given, **options: (
            trained.append(len(images)) or judge.train(images, targets, *given, **options)
        ),
    )
    stage.made = images[:500], (labels[:500] + 1) % 10
    assert measured(stage, samples=500)[0] < 0.02
    assert trained == [500]
    # One good picture of each class, which a judge would find as it was asked for.
    first = torch.stack([(labels == label).nonzero()[0, 0] for label in range(10)]).repeat(50)
    stage.made = images[first], labels[first]
    assert measured(stage, samples=500)[0] < good - 0.2
    # Noise says nothing of a class.
    noise = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    stage.made = noise, labels[:500]
    assert measured(stage, samples=500)[0] < 0.3


def test_random_numbers_and_modes_are_left_alone(stage_of):
    stage = stage_of(holdout=0.2)
    stage.made = whole(stage.data)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first = measured(stage, samples=50)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert measured(stage, samples=50) == first
    assert measured(stage, samples=50, seed=1)[0] != first[0]


@pytest.mark.parametrize("condition", [NoCondition, Code])
def test_a_stage_without_a_class(stage_of, condition):
    stage = stage_of(condition=condition)
    metric = ClassificationAccuracyScore(stage.data)
    with pytest.raises(ValueError) as refusal:
        metric.check(stage.algorithm)
    assert str(refusal.value) == (
        "classification-accuracy-score needs a stage whose condition is one class per image; use labels or clusters, "
        "or measure fid"
    )
