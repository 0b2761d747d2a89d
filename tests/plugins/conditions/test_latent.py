import pytest
import torch
from torch.nn import functional as F

from ganvas import Data, DataField, Encoder, Segment, Trained
from ganvas.kinds.data import Dataset
from ganvas_plugins.conditions.latent import Latent

NUMBER = 90


class Pictures(Dataset):
    """Random images of 1x2x2 pixels, the last of which is always the same."""

    fields = {"images": DataField((1, 2, 2))}
    fingerprint = "pictures"

    def __init__(self):
        self.images = torch.randint(0, 256, (NUMBER, 1, 2, 2), generator=rng(1), dtype=torch.uint8)
        self.images[:, 0, 1, 1] = 77

    def __len__(self):
        return NUMBER

    def __getitem__(self, index):
        return {"images": self.images[index]}

    def tensors(self):
        return {"images": self.images}


class Pixels(Encoder):
    """The pixels, stretched and moved, are the features; counts the images it sees."""

    features = 4

    def __init__(self):
        super().__init__()
        self.seen = 0

    def objective(self, *views):
        return {}

    def encode(self, images):
        self.seen += len(images)
        return images.flatten(1) * torch.tensor([1.0, 2.0, 3.0, 4.0]) + 5


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(encoder=None, **options):
    data = Data(Pictures())
    condition = Latent(data, encoder=Trained(encoder or Pixels()), **options)
    condition.prepare(data, rng())
    return data, condition


def whole(data):
    return next(data.batches(NUMBER))


def test_none_gives_the_features_as_they_are():
    data, condition = fitted(normalise="none")
    batch = whole(data)
    assert torch.equal(condition.eval().of(batch), Pixels().encode(batch["images"]))


def test_standard_gives_mean_zero_and_deviation_one_but_for_what_never_changes():
    data, condition = fitted()
    rows = condition.eval().of(whole(data)).double()
    assert rows.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(rows[:, :3].std(0, correction=0), torch.ones(3).double(), atol=1e-5, rtol=0)
    assert rows[:, 3].abs().max() < 1e-5


def test_unit_gives_the_directions():
    data, condition = fitted(normalise="unit")
    batch = whole(data)
    rows = condition.eval().of(batch)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(NUMBER))
    assert torch.equal(rows, F.normalize(Pixels().encode(batch["images"]), dim=1))


@pytest.mark.parametrize("normalise", ["standard", "unit", "none"])
def test_samples_are_features_of_real_images_each_equally_often(normalise):
    data, condition = fitted(normalise=normalise, samples=6)
    rows = condition.eval().of(whole(data))
    drawn = condition.sample(6000, rng())
    which = (drawn[:, None] == rows[None]).all(2)
    assert which.any(1).all()
    counts = which.sum(0)
    assert (counts > 0).sum() == 6
    assert counts[counts > 0].float().mean() == 1000
    assert (counts[counts > 0] - 1000).abs().max() < 150
    assert torch.equal(drawn, condition.sample(6000, rng()))


def test_a_bank_larger_than_the_data_holds_each_once():
    data, condition = fitted(samples=200)
    assert condition.filled == NUMBER
    assert torch.equal(condition.bank[:NUMBER], condition.eval().of(whole(data)))
    assert set(map(tuple, condition.sample(500, rng()).tolist())) <= set(map(tuple, condition.bank[:NUMBER].tolist()))


def test_state_is_restored_without_the_data():
    data, condition = fitted(samples=20)
    other = Latent(Data(None, data.describe()), encoder=Trained(Pixels()), samples=20)
    assert set(condition.state_dict()) == {"bank", "filled", "mean", "deviation"}
    other.load_state_dict(condition.state_dict())
    assert torch.equal(other.sample(50, rng()), condition.sample(50, rng()))
    assert torch.equal(other.eval().of(whole(data)), condition.eval().of(whole(data)))
    assert list(condition.parameters()) == []


def test_while_training_each_image_is_encoded_once():
    encoder = Pixels()
    data, condition = fitted(encoder=encoder)
    batch = {name: values[20:50] for name, values in whole(data).items()}
    encoder.seen = 0
    first = condition.train().of(batch)
    assert torch.equal(condition.of(batch), first)
    assert encoder.seen == NUMBER
    held_out = {"images": batch["images"].flip(0), "index": batch["index"]}
    assert torch.equal(condition.eval().of(held_out), first.flip(0))
    condition.prepare(data, rng())
    encoder.seen = 0
    assert torch.equal(condition.train().of(batch), first)
    assert encoder.seen == NUMBER


class Mapped(Pixels):
    """Maps: the pixels, and twice the pixels."""

    def feature_maps(self, images):
        return {"once": images, "twice": torch.cat([2 * images, 2 * images], dim=1)}


def test_a_layers_map_may_be_taken():
    data, condition = fitted(Mapped(), normalise="none", layer="twice", pool=2)
    images = whole(data)["images"]
    assert condition.shape == (8,)
    assert torch.equal(condition.eval().of(whole(data)), torch.cat([2 * images.flatten(1)] * 2, dim=1))
    assert torch.equal(condition.bank[:NUMBER], condition.of(whole(data)))
    _, averaged = fitted(Mapped(), normalise="none", layer="once")
    torch.testing.assert_close(averaged.eval().of(whole(data)), images.mean((2, 3)))
    assert set(condition.state_dict()) == {"bank", "filled", "mean", "deviation"}
    with pytest.raises(ValueError) as error:
        fitted(Mapped(), layer="thrice")
    assert str(error.value) == "the network has no layer thrice; choose from once, twice"


def test_segments_needs_and_parse():
    _, condition = fitted(samples=6)
    assert condition.needs == {"images"}
    assert condition.shape == (4,)
    assert condition.segments == [Segment("continuous", 4)]
    assert condition.parse([1, 2.5, 0, -1]).tolist() == [1.0, 2.5, 0.0, -1.0]
    assert torch.equal(condition.parse(5), condition.bank[5])
    with pytest.raises(ValueError) as error:
        condition.parse(6)
    assert str(error.value) == "there are no features 6; those that are kept go from 0 to 5"
    for wrong in ([1, 2], "three", True, [1, 2, 3, "4"]):
        with pytest.raises(ValueError) as error:
            condition.parse(wrong)
        assert str(error.value) == "give the 4 numbers of a feature vector, or the number of one of the 6 that are kept"


def test_it_can_be_built_on_the_meta_device():
    with torch.device("meta"):
        condition = Latent(Data(Pictures()), encoder=Trained(Pixels()), samples=7)
    assert condition.bank.is_meta
    assert condition.bank.shape == (7, 4)
