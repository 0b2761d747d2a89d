import numpy as np
import pytest

from ganvas import MissingData
from ganvas_plugins.datasets.fashion_mnist import FashionMnist
from ganvas_plugins.datasets.mnist import Mnist


def test_its_classes_are_the_digits_and_its_content_is_what_the_files_say(tmp_path, miniatures):
    written = miniatures.write_idx_folder(tmp_path)
    data = Mnist(root=tmp_path)
    assert list(data.classes) == list("0123456789")
    assert np.array_equal(data.tensors()["images"][:, 0], written["train"]["images"])
    assert np.array_equal(data.held_out().tensors()["labels"], written["test"]["labels"])


def test_without_a_folder_it_is_looked_for_in_the_cache(tmp_path, miniatures, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    miniatures.write_idx_folder(tmp_path / "mnist")
    assert len(Mnist(download=False)) == 60


def test_missing_data_are_one_line_that_says_what_to_fetch(tmp_path):
    with pytest.raises(MissingData) as caught:
        len(Mnist(root=tmp_path, download=False))
    assert str(caught.value) == (
        f"MNIST is not in {tmp_path}; put the four idx files (train-images-idx3-ubyte.gz, ...) into {tmp_path}"
    )


def test_it_is_fetched_from_where_torchvision_knows(tmp_path, asked):
    from torchvision.datasets import MNIST

    assert len(Mnist(root=tmp_path / "own")) == 60
    assert asked == [(MNIST.mirrors[0] + name, md5) for name, md5 in MNIST.resources if name.startswith("train")]
    assert FashionMnist.torchvision != Mnist.torchvision
