"""The judge: what it learns, and that training it disturbs nobody."""

import pytest
import torch

from ganvas import Data, DataField, Dataset, Segment
from ganvas_plugins.extractors import judge as module
from ganvas_plugins.extractors.judge import JudgeNetwork, fit_classifier

CLASSES = [Segment("one-hot", 2)]


class Bars(Dataset):
    """Vertical (0) or horizontal (1) bars, with noise; whether they are bright is an attribute."""

    fields = {"images": DataField((1, 8, 8)), "labels": DataField((), "int64", None)}
    classes = ("vertical", "horizontal")
    fingerprint = "bars"

    def __len__(self):
        return 400

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self):
        rng = torch.Generator().manual_seed(0)
        labels = torch.arange(400) % 2
        places = torch.randint(1, 7, (400,), generator=rng)
        images = torch.randint(60, (400, 8, 8), generator=rng)
        for image, label, place in zip(images, labels, places, strict=True):
            image.select(1 - int(label), int(place)).add_(150)
        return {"images": images.unsqueeze(1).byte(), "labels": labels}


def one_hot(batch):
    return torch.nn.functional.one_hot(batch["labels"], 2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    return tmp_path


def test_learns_and_is_kept(monkeypatch):
    data = Data(Bars())
    judge = fit_classifier(data, one_hot, CLASSES, steps=60)
    assert judge.accuracy > 0.95
    monkeypatch.setattr(module, "train", None)  # training again would fail
    again = fit_classifier(data, one_hot, CLASSES, steps=60)
    assert again.accuracy == judge.accuracy
    assert again.protocol == judge.protocol
    images = next(iter(data.batches()))["images"]
    assert torch.equal(again.network(images), judge.network(images))
    assert not judge.network.training
    assert not any(parameter.requires_grad for parameter in judge.network.parameters())


def test_learns_attributes():
    def targets_of(batch):
        return torch.stack([batch["labels"] == 0, batch["labels"] == 1], 1)

    judge = fit_classifier(Data(Bars()), targets_of, [Segment("binary", 2)], steps=60)
    assert judge.accuracy > 0.95


def test_random_targets_are_not_recovered_on_held_out_images():
    noise = torch.randint(2, (400,), generator=torch.Generator().manual_seed(1))

    def targets_of(batch):
        return torch.nn.functional.one_hot(noise[batch["index"]], 2)

    judge = fit_classifier(Data(Bars()), targets_of, CLASSES, steps=30, holdout=0.5)
    assert 0.35 < judge.accuracy < 0.65


def test_the_same_seed_gives_the_same_bits_and_nobody_is_disturbed(folder):
    data = Data(Bars())
    torch.manual_seed(7)
    state = torch.get_rng_state()
    with torch.inference_mode():
        first = fit_classifier(data, one_hot, CLASSES, steps=5)
        assert torch.is_inference_mode_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    for path in folder.iterdir():
        path.unlink()
    with torch.no_grad():
        second = fit_classifier(data, one_hot, CLASSES, steps=5)
        assert not torch.is_grad_enabled()
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)
    other = fit_classifier(data, one_hot, CLASSES, steps=5, seed=1)
    assert not torch.equal(other.network.head.weight, first.network.head.weight)


def test_other_targets_are_another_judge(folder):
    data = Data(Bars())
    fit_classifier(data, one_hot, CLASSES, steps=2)
    fit_classifier(data, lambda batch: one_hot(batch).flip(1), CLASSES, steps=2)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 48), (3, 128, 96), (1, 3, 5)])
def test_takes_any_size(shape):
    network = JudgeNetwork(shape, 4).eval()
    images = torch.rand(2, *shape)
    assert network.embed(images).shape == (2, 128)
    assert network(images).shape == (2, 4)


def test_many_samples_are_thinned_evenly():
    index = torch.cat([part["index"] for part in module._every(Data(Bars()), 100)])
    assert len(index) == 100
    assert index.diff().tolist() == [4] * 99
