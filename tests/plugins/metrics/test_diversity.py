"""Diversity in closed form."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from ganvas import Condition, Data, DataField, Dataset, Segment
from ganvas_plugins.metrics.diversity import Diversity, deviations

LEVELS = {0: (0, 255), 1: (100, 150)}  # what the two classes' pixels alternate between


class Flicker(Dataset):
    fields = {"images": DataField((1, 2, 2)), "labels": DataField((), "int64", None)}
    fingerprint = "flicker"

    def __len__(self):
        return 80

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self):
        labels = torch.arange(80) % 2
        values = torch.tensor([LEVELS[int(label)][index // 2 % 2] for index, label in enumerate(labels)])
        return {"images": values.view(-1, 1, 1, 1).expand(-1, 1, 2, 2).byte(), "labels": labels}


class OneHot(Condition):
    shape, segments = (2,), (Segment("one-hot", 2),)

    def of(self, batch):
        return F.one_hot(batch["labels"], 2).float()


def stage_of(make, condition=None):
    def sample(number, condition=None, seed=None):
        return make(number, condition)

    data = Data(Flicker())
    return SimpleNamespace(
        data=data,
        device=torch.device("cpu"),
        seed=0,
        sample=sample,
        algorithm=SimpleNamespace(condition=condition),
    )


def measure(stage, samples=80):
    (measured,) = Diversity(stage.data, samples=samples).measure(stage).items()
    assert measured[0] == "diversity"
    return measured[1].value


def copies(factor):
    """The real images of the classes that are asked for, their spread multiplied."""

    def make(number, condition):
        labels = condition.argmax(1)
        spread = torch.tensor([(high - low) / 255 for low, high in LEVELS.values()])[labels]
        sign = torch.arange(number) // 2 % 2 * 2 - 1
        return (labels * 0.1 + factor * sign * spread).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)

    return make


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_the_ratio_of_spreads(factor):
    assert measure(stage_of(copies(factor), OneHot())) == pytest.approx(factor, abs=1e-6)


def test_one_picture_per_class_is_no_diversity_whatever_the_classes_are():
    def make(number, condition):
        return condition.argmax(1).float().mul(2).sub(1).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)

    assert measure(stage_of(make, OneHot())) == pytest.approx(0, abs=1e-9)


def test_without_condition_the_data_are_one_class():
    images = torch.cat([batch["images"] for batch in Data(Flicker()).batches()])
    assert measure(stage_of(lambda number, condition: images[:number])) == pytest.approx(1, abs=1e-9)


def test_deviations_equal_torchs():
    images = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    parts = list(zip(images.split(7), labels.split(7), strict=True))
    expected = torch.stack([images[labels == label].double().std(0).mean() for label in range(3)])
    torch.testing.assert_close(deviations(iter(parts), 3), expected)


def test_classes_with_one_image_are_left_out():
    images, labels = torch.rand(5, 1, 2, 2), torch.tensor([0, 0, 0, 0, 1])
    found = deviations(iter([(images, labels)]), 3)
    assert found.isnan().tolist() == [False, True, True]
    with pytest.raises(ValueError, match="raise samples"):
        measure(stage_of(copies(1.0), OneHot()), samples=2)
