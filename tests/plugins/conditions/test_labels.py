import pytest
import torch

from ganvas import Data, Segment
from ganvas_plugins.conditions.labels import Labels
from ganvas_plugins.datasets.celeba import CelebA
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.datasets.image_folder import ImageFolder


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_labels_are_one_hot():
    condition = Labels(Data(Digits()))
    assert condition.shape == (10,)
    assert condition.needs == {"labels"}
    assert condition.names == list("0123456789")
    assert condition.segments == [Segment("one-hot", 10)]
    given = condition.of({"labels": torch.tensor([3, 0])})
    assert given.tolist() == [[0, 0, 0, 1, *[0] * 6], [1, *[0] * 9]]
    assert given.dtype == torch.float32


def test_classes_are_sampled_uniformly():
    drawn = Labels(Data(Digits())).sample(20_000, rng())
    assert (drawn.sum(1) == 1).all()
    counts = drawn.sum(0)
    # chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand times
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9
    assert torch.equal(drawn, Labels(Data(Digits())).sample(20_000, rng()))


def test_data_without_labels_are_refused(tmp_path, miniatures):
    miniatures.write_celeba(tmp_path)
    with pytest.raises(ValueError) as caught:
        Labels(Data(CelebA(root=tmp_path)))
    assert str(caught.value) == "the data have no labels, only attributes; use the condition attributes"
    miniatures.write_flat_folder(tmp_path / "flat", number=2)
    with pytest.raises(ValueError) as caught:
        Labels(Data(ImageFolder(root=tmp_path / "flat")))
    assert str(caught.value) == "the data have neither labels nor attributes; use the condition clusters, or none"


def test_parse_takes_a_number_or_a_name():
    digits = Labels(Data(Digits()))
    assert digits.parse(3).argmax() == digits.parse("3").argmax() == 3
    assert digits.parse(3).shape == (10,)
    with pytest.raises(ValueError) as caught:
        digits.parse(10)
    assert str(caught.value) == "there is no class 10; they go from 0 to 9"
