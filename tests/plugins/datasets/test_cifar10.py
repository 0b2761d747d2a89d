import pickle
import shutil

import numpy as np
import pytest

from ganvas import DataField, MissingData
from ganvas_plugins.datasets.cifar10 import Cifar10


@pytest.mark.parametrize("form", ["python", "binary"])
def test_both_formats_are_read(tmp_path, miniatures, form):
    written = miniatures.write_cifar10(tmp_path, form)
    for split, number in (("train", 40), ("test", 8)):
        data = Cifar10(root=tmp_path, split=split)
        whole = data.tensors()
        assert len(data) == number
        assert np.array_equal(whole["images"], written[split]["images"])
        assert np.array_equal(whole["labels"], written[split]["labels"])
    assert np.array_equal(Cifar10(root=next(tmp_path.iterdir())).tensors()["labels"], written["train"]["labels"])


def test_the_miniature_is_pickled_as_python_2_does(tmp_path, miniatures):
    written = miniatures.write_cifar10(tmp_path)
    content = (tmp_path / "cifar-10-batches-py" / "test_batch").read_bytes()
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert pickle.loads(content, encoding="latin1")["labels"] == written["test"]["labels"].tolist()


def test_a_batch_pickled_by_todays_python_is_read_too(tmp_path, miniatures):
    written = miniatures.write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    batch = {b"data": written["test"]["images"].reshape(-1, 3072), b"labels": written["test"]["labels"].tolist()}
    path.write_bytes(pickle.dumps(batch, protocol=4))
    assert np.array_equal(Cifar10(root=tmp_path, split="test").tensors()["images"], written["test"]["images"])


def test_fingerprint_is_the_same_in_both_formats_and_anywhere(tmp_path, miniatures):
    miniatures.write_cifar10(tmp_path / "py", "python")
    miniatures.write_cifar10(tmp_path / "bin", "binary")
    before = Cifar10(root=tmp_path / "py").fingerprint
    assert Cifar10(root=tmp_path / "bin").fingerprint == before
    shutil.move(tmp_path / "bin", tmp_path / "moved")
    assert Cifar10(root=tmp_path / "moved", size=16).fingerprint == before
    path = tmp_path / "moved" / "cifar-10-batches-bin" / "data_batch_3.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    assert Cifar10(root=tmp_path / "moved").fingerprint != before


def test_no_code_in_a_pickle_runs(tmp_path, miniatures):
    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    miniatures.write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    for protocol in (0, 2, 4):
        path.write_bytes(pickle.dumps({"data": Evil(), "labels": []}, protocol=protocol))
        with pytest.raises(MissingData, match="exec, which was refused") as error:
            Cifar10(root=tmp_path).tensors()
        assert str(path) in str(error.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "batch",
    [
        {b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]},
        {b"labels": [0]},
        [1, 2],
    ],
)
def test_what_is_no_batch_is_refused(tmp_path, miniatures, batch):
    miniatures.write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch))
    with pytest.raises(MissingData, match="is no batch of CIFAR-10"):
        len(Cifar10(root=tmp_path, split="test"))


def test_damaged_files_are_named(tmp_path, miniatures):
    miniatures.write_cifar10(tmp_path / "a")
    path = tmp_path / "a" / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(MissingData, match="test_batch is no batch"):
        len(Cifar10(root=tmp_path / "a", split="test"))
    miniatures.write_cifar10(tmp_path / "b", "binary")
    path = tmp_path / "b" / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MissingData, match=r"test_batch\.bin is damaged"):
        len(Cifar10(root=tmp_path / "b", split="test"))


def test_fields_need_no_data_and_missing_data_say_where_to_get_them(tmp_path):
    data = Cifar10(root=tmp_path)
    assert data.fields == {"images": DataField((3, 32, 32)), "labels": DataField((), "int64", (0, 9))}
    assert data.classes[3] == "cat"
    with pytest.raises(MissingData, match=r"fetch https://\S+cifar-10-python\.tar\.gz and unpack it there"):
        len(data)


def test_a_failed_download_gives_its_reason(tmp_path, monkeypatch):
    from torchvision.datasets import utils

    def fail(*given, **named):
        raise OSError("no network")

    monkeypatch.setattr(utils, "download_and_extract_archive", fail)
    with pytest.raises(MissingData, match=r"cannot be downloaded \(no network\)"):
        len(Cifar10(root=tmp_path, download=True))
