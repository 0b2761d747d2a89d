"""Attribute accuracy of generators that obey, ignore or half obey their condition."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from ganvas import Condition, Data, DataField, Dataset, Segment
from ganvas_plugins.metrics.attribute_accuracy import AttributeAccuracy, balanced

NUMBER, CLASSES = 400, 4


class Corners(Dataset):
    """Class k: the k-th corner is bright."""

    fields = {"images": DataField((1, 8, 8)), "labels": DataField((), "int64", None)}
    classes = ("a", "b", "c", "d")
    fingerprint = "corners"

    def __len__(self):
        return NUMBER

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self):
        labels = torch.arange(NUMBER) % CLASSES
        rng = torch.Generator().manual_seed(0)
        return {"images": ((draw(labels, rng) + 1) * 127.5).byte(), "labels": labels}


def draw(labels, rng):
    images = torch.rand(len(labels), 1, 8, 8, generator=rng) * 0.6 - 1
    for image, label in zip(images, labels.tolist(), strict=True):
        top, left = 5 * (label // 2), 5 * (label % 2)
        image[:, top : top + 3, left : left + 3] += 1
    return images


class OneHot(Condition):
    shape, segments = (CLASSES,), (Segment("one-hot", CLASSES),)

    def of(self, batch):
        return F.one_hot(batch["labels"], CLASSES).float()

    def sample(self, number, rng):
        return F.one_hot(torch.randint(CLASSES, (number,), generator=rng), CLASSES).float()


class Bits(OneHot):
    """The corner as two attributes: bottom, right."""

    shape, segments = (2,), (Segment("binary", 2),)

    def of(self, batch):
        return torch.stack([batch["labels"] // 2, batch["labels"] % 2], 1).float()

    def sample(self, number, rng):
        return torch.randint(2, (number, 2), generator=rng).float()


def obey(condition):
    return condition.argmax(1) if condition.shape[1] == CLASSES else (condition @ torch.tensor([2.0, 1.0])).long()


def stage_of(condition, choose=obey):
    asked = []

    def sample(number, condition=None, seed=None):
        asked.append(condition)
        assert len(condition) == number
        return draw(choose(condition), torch.Generator().manual_seed(1))

    stage = SimpleNamespace(
        data=Data(Corners()),
        device=torch.device("cpu"),
        seed=3,
        sample=sample,
        algorithm=SimpleNamespace(condition=condition, sample=sample),
        asked=asked,
    )
    return stage


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))


def measure(stage, **options):
    metric = AttributeAccuracy(stage.data, samples=200, training=60, **options)
    (measured,) = metric.measure(stage).items()
    assert measured[0] == "attribute-accuracy@classifier"
    assert measured[1].better == "higher"
    return measured[1].value, metric


def test_one_for_an_oracle_and_one_in_k_for_a_generator_that_does_not_listen():
    stage = stage_of(OneHot())
    value, metric = measure(stage)
    assert value == pytest.approx(1, abs=0.02)
    assert torch.equal(stage.asked[0].sum(0), torch.full((CLASSES,), 50.0))
    assert metric.protocol["judge accuracy"] > 0.95
    assert metric.protocol["judge"]["data"] == "corners"
    assert metric.protocol["samples"] == 200
    assert measure(stage_of(OneHot(), lambda condition: torch.zeros(len(condition)).long()))[0] == pytest.approx(0.25)


def test_one_class_in_four_drawn_wrong():
    value, _ = measure(stage_of(OneHot(), lambda condition: condition.argmax(1).clamp(max=2)))
    assert value == pytest.approx(0.75, abs=0.02)


def test_attributes_count_one_by_one():
    assert measure(stage_of(Bits()))[0] == pytest.approx(1, abs=0.02)
    stage = stage_of(Bits(), lambda condition: (obey(condition) // 2) * 2)  # never draws anything on the right
    value, _ = measure(stage)
    asked_right = stage.asked[0][:, 1].mean().item()
    assert value == pytest.approx(1 - asked_right / 2, abs=0.02)


def test_balanced_rows():
    rows = balanced(OneHot(), 10, stage_of(OneHot()))
    assert rows.argmax(1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    first, second = (balanced(Bits(), 10, stage_of(Bits())) for _ in range(2))
    assert torch.equal(first, second)


def test_a_stage_without_condition():
    with pytest.raises(ValueError, match="needs a stage with a condition"):
        measure(stage_of(None))
