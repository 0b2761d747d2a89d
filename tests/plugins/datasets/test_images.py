import numpy as np
import pytest
import torch
from PIL import Image

from ganvas import Data, DataField
from ganvas_plugins.datasets.images import ArrayDataset, fitted


class Ramp(ArrayDataset):
    """40 RGB images of 4x6 whose pixels count up, in two classes."""

    shape = (3, 4, 6)
    names = ("even", "odd")

    def read(self):
        images = (np.arange(40 * 72) % 251).astype(np.uint8).reshape(40, 3, 4, 6)
        return images, np.arange(40) % 2


def test_fields_tensors_and_items_agree():
    data = Ramp()
    assert data.fields == {"images": DataField((3, 4, 6)), "labels": DataField((), "int64", (0, 1))}
    whole = data.tensors()
    assert whole["images"].dtype == torch.uint8
    assert whole["images"].is_contiguous()
    assert whole["images"].flatten()[:260].tolist() == [value % 251 for value in range(260)]
    assert whole["labels"].tolist() == [0, 1] * 20
    assert whole["labels"].dtype == torch.int64
    assert all(torch.equal(data[7][name], whole[name][7]) for name in whole)
    assert data.targets()["labels"].equal(whole["labels"])


def test_fields_are_known_without_reading(monkeypatch):
    monkeypatch.setattr(Ramp, "read", lambda self: pytest.fail("read"))
    assert Ramp(size=(5, 7)).fields["images"].shape == (3, 5, 7)


def test_reading_works_while_networks_are_built_on_the_meta_device():
    with torch.device("meta"):
        whole = Ramp(size=8, holdout=0.5).tensors()
    assert {values.device.type for values in whole.values()} == {"cpu"}


def test_stretch_of_halves_has_the_mean_of_a_constant_and_crop_keeps_the_centre():
    image = Image.fromarray(np.repeat(np.array([[10, 20, 30, 40]], np.uint8), 2, axis=0))  # 2 x 4
    assert np.asarray(fitted(image, (2, 2), "crop")).tolist() == [[20, 30]] * 2
    assert np.asarray(fitted(image, (2, 4), "stretch")).tolist() == [[10, 20, 30, 40]] * 2
    flat = Image.new("RGB", (30, 50), (5, 100, 200))
    for fit in ("crop", "stretch"):
        assert np.asarray(fitted(flat, (12, 12), fit)).reshape(-1, 3).tolist() == [[5, 100, 200]] * 144


def test_pad_never_enlarges_and_centres_on_black():
    image = Image.fromarray(np.full((28, 28), 200, np.uint8))
    padded = np.asarray(fitted(image, (32, 32), "pad"))
    assert (padded[2:30, 2:30] == 200).all()
    assert padded.sum(dtype=int) == 200 * 28 * 28
    wide = np.asarray(fitted(Image.new("RGB", (100, 50), "white"), (40, 40), "pad"))  # shrunk to 20 x 40
    assert (wide[10:30] == 255).all()
    assert (wide[:10] == 0).all()
    assert (wide[30:] == 0).all()


def test_shrinking_is_antialiased():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    grey = np.asarray(fitted(stripes, (16, 16), "crop")).astype(int)
    assert abs(grey - 127.5).max() < 30  # picking pixels would give all black or all white


def test_holdout_splits_everything_in_two_and_never_changes():
    train, held = Ramp(holdout=0.25), Ramp(holdout=0.25, part="holdout")
    assert (len(train), len(held), len(Ramp(holdout=0.25, part="all"))) == (30, 10, 40)
    assert sorted([*train.indices.tolist(), *held.indices.tolist()]) == list(range(40))
    assert held.indices.tolist() == [3, 4, 8, 9, 10, 13, 17, 18, 29, 39]
    assert set(Ramp(holdout=0.1, part="holdout").indices.tolist()) < set(held.indices.tolist())
    images = Ramp().tensors()["images"]
    assert torch.equal(held.tensors()["images"], images[held.indices])
    assert torch.equal(train[3]["images"], images[train.indices[3]])
    assert train.fingerprint == held.fingerprint == Ramp(size=8).fingerprint


def test_held_out_gives_the_other_part():
    train = Ramp(holdout=0.25)
    train.tensors()
    held = train.held_out()
    assert torch.equal(held.tensors()["labels"], Ramp(holdout=0.25, part="holdout").tensors()["labels"])
    assert held.held_out().indices.equal(train.indices)
    assert Ramp().held_out() is None
    assert Ramp(holdout=0.25, part="all").held_out() is None


def test_flip_mirrors_about_half_and_only_when_asked():
    images = torch.arange(600 * 3.0).reshape(600, 1, 1, 3)
    batch = {"images": images, "labels": torch.arange(600)}
    rng = torch.Generator().manual_seed(0)
    assert Ramp().augment(batch, rng) is batch
    flipped = Ramp(flip=True).augment(batch, rng)["images"]
    mirrored = (flipped[..., 0] > flipped[..., 2]).flatten()
    assert torch.equal(flipped[mirrored], images.flip(-1)[mirrored])
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert 250 < mirrored.sum() < 350
    again = Ramp(flip=True).augment(batch, torch.Generator().manual_seed(5))["images"]
    assert torch.equal(again, Ramp(flip=True).augment(batch, torch.Generator().manual_seed(5))["images"])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"size": 0}, "from 1 on"), ({"size": (8, -1)}, "from 1 on"), ({"part": "holdout"}, "such as 0.1")],
)
def test_what_cannot_be_is_refused(options, remedy):
    with pytest.raises(ValueError, match=remedy):
        Ramp(**options)


def test_a_part_without_samples_is_refused():
    with pytest.raises(ValueError, match="leaves none"):
        len(Ramp(holdout=0.001, part="holdout"))


def test_the_identity_tells_parts_sizes_and_fits_apart():
    """What is computed from the samples and kept (FID's real moments, a judge) must not be taken for another's."""
    options = [
        {},
        {"holdout": 0.25},
        {"holdout": 0.25, "part": "holdout"},
        {"holdout": 0.5},
        {"size": 6},
        {"size": 6, "fit": "stretch"},
    ]
    identities = [Data(Ramp(**one)).identity for one in options]
    assert len(set(identities)) == len(options)
    assert Data(Ramp(flip=True)).identity == identities[0]  # what only the training sees
