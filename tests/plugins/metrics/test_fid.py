"""FID over a known feature network."""

import logging
from types import SimpleNamespace

import pytest
import torch

from ganvas import Data, DataField, Dataset, Extractor
from ganvas_plugins.metrics.comparison import warn_once
from ganvas_plugins.metrics.fid import Fid
from ganvas_plugins.metrics.frechet import Moments, frechet_distance


class Noise(Dataset):
    fields = {"images": DataField((1, 2, 2))}
    fingerprint = "noise"

    def __len__(self):
        return 200

    def __getitem__(self, index):
        return {"images": self.tensors()["images"][index]}

    def tensors(self):
        return {"images": torch.randint(256, (200, 1, 2, 2), generator=torch.Generator().manual_seed(0)).byte()}


class Pixels(Extractor):
    """The pixels themselves."""

    name, features = "pixels", 4
    seen = 0

    def forward(self, images):
        Pixels.seen += len(images)
        return images.flatten(1)


class Labelled(Pixels):
    def check(self, data):
        raise ValueError("no labels; use pixels")


def stage_of(data, fakes):
    def made(number):
        return fakes[:number], None

    def once(key, make):
        return make()

    return SimpleNamespace(data=data, device=torch.device("cpu"), seed=0, fakes=made, once=once, algorithm=None)


def real(data):
    return torch.cat([batch["images"] for batch in data.batches()])


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    monkeypatch.setattr(Pixels, "seen", 0)


def test_the_real_images_are_at_distance_zero_and_a_shift_costs_its_square():
    data = Data(Noise())
    metric = Fid(data, extractor=Pixels, samples=200)
    assert set(metric.measure(stage_of(data, real(data)))) == {"fid@pixels"}
    assert metric.measure(stage_of(data, real(data)))["fid@pixels"].value == pytest.approx(0, abs=1e-6)
    shifted = metric.measure(stage_of(data, real(data) + 0.5))["fid@pixels"]
    assert shifted.value == pytest.approx(4 * 0.25, abs=1e-6)
    assert shifted.better == "lower"


def test_real_statistics_are_kept():
    data = Data(Noise())
    for _ in range(2):
        Fid(data, extractor=Pixels, samples=10).measure(stage_of(data, real(data)))
    assert Pixels.seen == 200 + 2 * 10


def test_a_part_of_the_real_images_is_evenly_spread():
    data = Data(Noise())
    chosen = real(data)[::4]
    moments = Moments()
    moments.update(chosen.flatten(1))
    fake = Moments()
    fake.update(real(data).flatten(1))
    value = Fid(data, extractor=Pixels, samples=200, real=50).measure(stage_of(data, real(data)))["fid@pixels"].value
    assert value == pytest.approx(frechet_distance(moments, fake), rel=1e-9)


def test_few_images_are_warned_of_once(caplog):
    warn_once.cache_clear()
    data = Data(Noise())
    with caplog.at_level(logging.WARNING, "ganvas"):
        for _ in range(2):
            Fid(data, extractor=Pixels, samples=4, real=3).measure(stage_of(data, real(data)))
        Fid(data, extractor=Pixels, samples=5, real=5).measure(stage_of(data, real(data)))
    assert caplog.messages == [
        "fid@pixels: 4 generated images are too few for 4 features: their covariance has no full rank, and the "
        "distance is far too large; raise samples above 4, use an extractor with fewer features, or kid",
        "fid@pixels: 3 real images are too few for 4 features: their covariance has no full rank, and the distance is "
        "far too large; raise their number (real) above 4, use an extractor with fewer features, or kid",
    ]


def test_the_extractor_may_refuse_the_data():
    with pytest.raises(ValueError, match="no labels; use pixels"):
        Fid(Data(Noise()), extractor=Labelled)


def test_the_protocol_names_what_counts():
    data = Data(Noise())
    assert Fid(data, extractor=Pixels, samples=7).protocol == {"samples": 7, "real": "all", "extractor": "pixels"}
    assert Fid(data, extractor=Pixels, real=9).protocol["real"] == 9
