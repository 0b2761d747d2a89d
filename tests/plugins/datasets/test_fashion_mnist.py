import numpy as np
import pytest

from ganvas import MissingData
from ganvas_plugins.datasets.fashion_mnist import DEBIAN, FashionMnist


@pytest.mark.parametrize("gz", [True, False])
def test_idx_files_are_read_gzipped_or_not(tmp_path, miniatures, gz):
    written = miniatures.write_idx_folder(tmp_path, gz)
    for split in ("train", "test"):
        whole = FashionMnist(root=tmp_path, split=split).tensors()
        assert np.array_equal(whole["images"][:, 0], written[split]["images"])
        assert np.array_equal(whole["labels"], written[split]["labels"])


def test_fingerprint_is_the_contents_not_the_files(tmp_path, miniatures):
    for name, gz, seed in (("a", True, 0), ("b", False, 0), ("c", True, 1)):
        miniatures.write_idx_folder(tmp_path / name, gz, seed=seed)
    a, b, c = (FashionMnist(root=tmp_path / name).fingerprint for name in "abc")
    assert a == b != c
    assert FashionMnist(root=tmp_path / "a", split="test").fingerprint != a


def test_the_test_split_is_the_held_out_part(tmp_path, miniatures):
    written = miniatures.write_idx_folder(tmp_path)
    data = FashionMnist(root=tmp_path)
    data.tensors()
    assert np.array_equal(data.held_out().tensors()["images"][:, 0], written["test"]["images"])
    assert data.held_out().held_out() is None
    assert len(FashionMnist(root=tmp_path, holdout=0.1).held_out()) == 6


def test_missing_data_are_one_line_that_says_what_to_fetch(tmp_path):
    data = FashionMnist(root=tmp_path, download=False)
    assert data.fields["images"].shape == (1, 28, 28)
    with pytest.raises(MissingData, match="install the Debian package dataset-fashion-mnist") as error:
        len(data)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_download_goes_to_the_folder_asked_for_or_the_cache(tmp_path, asked, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(FashionMnist, "system", tmp_path / "debian")
    assert len(FashionMnist(root=tmp_path / "own")) == 60
    assert sorted(p.name for p in (tmp_path / "own").iterdir()) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert all(address.endswith(".gz") and len(md5) == 32 for address, md5 in asked)
    assert len(FashionMnist()) == 60
    assert (tmp_path / "cache" / "fashion-mnist" / "train-images-idx3-ubyte.gz").is_file()
    assert len(FashionMnist()) == 60
    assert len(asked) == 4


def test_a_failed_download_leaves_nothing_and_gives_its_reason(tmp_path, monkeypatch):
    from torchvision.datasets import utils

    def fail(address, folder, name, md5):
        (type(tmp_path)(folder) / name).write_bytes(b"half")
        raise OSError("no\nnetwork")

    monkeypatch.setattr(utils, "download_url", fail)
    with pytest.raises(MissingData, match=r"cannot be downloaded \(no network\)"):
        len(FashionMnist(root=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [3, 10, 2000])
def test_a_damaged_file_is_named(tmp_path, miniatures, cut):
    for gz, name in ((True, "train-images-idx3-ubyte.gz"), (False, "train-images-idx3-ubyte")):
        folder = tmp_path / name
        miniatures.write_idx_folder(folder, gz)
        path = folder / name
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(MissingData, match="is damaged") as error:
            len(FashionMnist(root=folder))
        assert str(path) in str(error.value)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_the_debian_package_has_it_all():
    for split, number in (("train", 60_000), ("test", 10_000)):
        whole = FashionMnist(split=split).tensors()
        assert whole["images"].shape == (number, 1, 28, 28)
        assert whole["labels"].bincount().tolist() == [number // 10] * 10
    # The published mean and deviation of the training pixels.
    images = FashionMnist().tensors()["images"].double() / 255
    assert images.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert images.std().item() == pytest.approx(0.3530, abs=1e-4)
