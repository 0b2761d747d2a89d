"""Stacks of three digits: which they are, and what the digits' own data set says."""

import pytest
import torch

from ganvas import Data
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.datasets.mnist import Mnist
from ganvas_plugins.datasets.stacked_mnist import StackedMnist


def test_each_channel_is_the_digit_that_the_label_says():
    data = StackedMnist(digits=Digits, length=40)
    digits = Digits().tensors()
    images, labels = data.tensors()["images"], data.tensors()["labels"]
    assert images.shape == (40, 3, 8, 8)
    assert images.dtype == torch.uint8
    for image, label, triple in zip(images, labels.tolist(), data.triples.tolist(), strict=True):
        assert torch.equal(image, digits["images"][triple, 0])
        a, b, c = digits["labels"][triple].tolist()
        assert label == 100 * a + 10 * b + c
        assert data.classes[label] == f"{a} {b} {c}"
    assert data.fields["images"].shape == (3, 8, 8)
    assert data.fields["labels"].range == (0, 999)
    assert len(data.classes) == 1000


def test_a_stack_depends_on_the_seed_and_its_place_alone():
    short, long = (StackedMnist(digits=Digits, length=length, seed=3) for length in (10, 1000))
    assert torch.equal(short.tensors()["images"], long.tensors()["images"][:10])
    other = StackedMnist(digits=Digits, length=10, seed=4)
    assert not torch.equal(short.triples, other.triples)
    assert len({part.fingerprint for part in (short, long, other)}) == 3
    assert short.fingerprint == StackedMnist(digits=Digits, length=10, seed=3).fingerprint
    # The stacks are uniform: each digit's image is drawn about as often in each channel.
    triples = StackedMnist(digits=Digits, length=50_000).triples
    assert triples.double().mean(0).tolist() == pytest.approx([898] * 3, abs=10)
    assert triples.unique().numel() == 1797


def test_size_holdout_and_flips_are_those_of_the_digits():
    data = StackedMnist(digits=lambda: Digits(size=16, holdout=0.25, flip=True), length=30)
    assert data.fields["images"].shape == tuple(data.tensors()["images"].shape[1:]) == (3, 16, 16)
    held = data.held_out()
    assert len(held) == 30
    assert held.channel.part == "holdout"
    assert torch.equal(held.tensors()["images"][0], held.channel.tensors()["images"][held.triples[0], 0])
    assert int(data.triples.max()) >= len(held.channel) > int(held.triples.max())
    assert held.fingerprint != data.fingerprint
    assert StackedMnist(digits=Digits, length=30).held_out() is None
    assert data.augments
    batch = next(Data(data).batches(30))
    flipped = data.augment(batch, torch.Generator().manual_seed(0))["images"]
    mirrored = (flipped == batch["images"].flip(-1)).flatten(1).all(1)
    assert 5 < int(mirrored.sum()) < 25
    assert torch.equal(flipped[~mirrored], batch["images"][~mirrored])


class Streamed(Digits):
    """Digits that are not held in memory."""

    def tensors(self):
        return None


def test_digits_that_are_not_in_memory_are_stacked_one_by_one():
    lazy, whole = (StackedMnist(digits=digits, length=9) for digits in (Streamed, Digits))
    assert lazy.tensors() is None
    for index in range(9):
        for name, value in whole[index].items():
            assert torch.equal(lazy[index][name], value)
            assert lazy[index][name].dtype == value.dtype


def test_missing_digits_are_missing(tmp_path):
    data = StackedMnist(digits=lambda: Mnist(root=tmp_path, download=False))
    assert (len(data), data.fields["images"].shape) == (25_600, (3, 28, 28))
    assert data.missing() == (
        f"MNIST is not in {tmp_path}; put the four idx files (train-images-idx3-ubyte.gz, ...) into {tmp_path}"
    )


def test_the_idx_files_hold_out_their_test_split(tmp_path, miniatures):
    written = miniatures.write_idx_folder(tmp_path)
    data = StackedMnist(digits=lambda: Mnist(root=tmp_path), length=20)
    held = data.held_out()
    assert torch.equal(held[4]["images"], torch.from_numpy(written["test"]["images"])[held.triples[4]])


@pytest.mark.parametrize(
    ("channels", "classes", "said"),
    [
        (3, ("a", "b"), "3 channels and labels of 2 classes"),
        (1, (), "1 channel and no labels"),
        (1, tuple(range(101)), "1 channel and labels of 101 classes"),
    ],
)
def test_other_data_cannot_be_stacked(channels, classes, said):
    class Other(Digits):
        shape, names = (channels, 8, 8), classes

    with pytest.raises(ValueError) as refusal:
        StackedMnist(digits=Other)
    assert str(refusal.value) == (
        "stacked-mnist is made of grey images with labels of 100 classes at most, and these have "
        f"{said}; use digits: mnist-5k, or mnist"
    )
