"""A random network that is the same everywhere, and is not blind."""

import pytest
import torch
import torch.nn.functional as F

from ganvas import Data, DataField, Dataset
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.extractors.pictures import levels, prepared
from ganvas_plugins.extractors.random import RandomExtractor
from ganvas_plugins.metrics.frechet import Moments, frechet_distance


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = RandomExtractor(width=16)
    torch.manual_seed(2)
    again, other = RandomExtractor(width=16), RandomExtractor(width=16, seed=1)
    x = images(3, 3, 20, 30)
    assert torch.equal(first(x), again(x))
    assert not torch.allclose(first(x), other(x))
    assert first.name == other.name == "random"
    assert first.protocol == {
        "extractor": "random",
        "weights": "random, seed 0, width 16",
        "input": "64x64 bicubic, 8 bits",
    }
    assert other.protocol["weights"] == "random, seed 1, width 16"


def test_four_convolutions_written_out():
    extractor = RandomExtractor(width=16, side=16)
    rng = torch.Generator().manual_seed(0)
    x = prepared(levels(images(2, 1, 16, 16)).round(), 16)
    for before, after in ((3, 2), (2, 4), (4, 8), (8, 16)):
        weights = torch.randn(after, before, 3, 3, generator=rng) * (2 / (9 * before)) ** 0.5
        x = F.conv2d(x, weights, stride=2, padding=1).relu()
    torch.testing.assert_close(extractor(images(2, 1, 16, 16)), x.mean((2, 3)))


def test_the_worse_the_images_the_farther_their_features():
    real = torch.cat([batch["images"] for batch in Data(Digits()).batches()])
    first, second = real[:600:2], real[1:600:2]
    rng = torch.Generator().manual_seed(0)
    extractor = RandomExtractor(width=16, side=8)
    moments = Moments.of(extractor(first))
    distances = [
        frechet_distance(moments, Moments.of(extractor(second + strength * torch.randn(second.shape, generator=rng))))
        for strength in (0, 0.3, 1)
    ]
    assert distances == sorted(distances)
    assert distances[2] > 4 * distances[0]


class Points(Dataset):
    fields = {"images": DataField((2, 1, 1), "float32", (-1, 1))}
    fingerprint = "points"

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"images": torch.zeros(2, 1, 1)}


def test_points_are_no_pictures():
    with pytest.raises(ValueError) as refusal:
        RandomExtractor().check(Data(Points()))
    assert str(refusal.value) == (
        "the extractor random takes images of 1 or 3 channels, and these have 2; use classifier (for labelled data) or "
        "the stage of an encoder"
    )
