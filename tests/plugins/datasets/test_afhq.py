import numpy as np
import pytest

from ganvas import DataField, MissingData
from ganvas_plugins.datasets.afhq import Afhq


def test_version_2_is_read_to_the_byte(tmp_path, miniatures):
    written = miniatures.write_afhq(tmp_path, per_class=2)
    data = Afhq(root=tmp_path)
    assert np.array_equal(data.tensors()["images"].permute(0, 2, 3, 1), written["images"])
    assert data.tensors()["labels"].tolist() == written["labels"].tolist() == [0, 0, 1, 1, 2, 2]


def test_version_1_is_jpeg_and_calls_its_test_split_val(tmp_path, miniatures):
    written = miniatures.write_afhq(tmp_path / "afhq", per_class=1, version=1)
    data = Afhq(root=tmp_path)
    difference = data.tensors()["images"].permute(0, 2, 3, 1).numpy().astype(int) - written["images"]
    assert abs(difference).max() <= 6
    test = data.held_out()
    assert test.folder.name == "val"
    assert test.tensors()["labels"].tolist() == [0, 1, 2]
    assert test.fingerprint != data.fingerprint


def test_small_images_for_small_networks(tmp_path, miniatures):
    miniatures.write_afhq(tmp_path, per_class=2)
    data = Afhq(root=tmp_path, size=64)
    assert data.tensors()["images"].shape == (6, 3, 64, 64)
    assert data[4]["labels"] == 2


def test_images_of_another_size_are_named(tmp_path, miniatures):
    miniatures.write_afhq(tmp_path, per_class=1, side=256)
    with pytest.raises(MissingData, match=r"cat_000000\.png is 256x256 where 512x512 .* give the dataset a size"):
        Afhq(root=tmp_path).tensors()
    assert Afhq(root=tmp_path, size=64).tensors()["images"].shape == (3, 3, 64, 64)


def test_fields_need_no_data_and_missing_data_say_where_to_get_them(tmp_path):
    data = Afhq(root=tmp_path)
    assert data.fields == {"images": DataField((3, 512, 512)), "labels": DataField((), "int64", (0, 2))}
    with pytest.raises(MissingData, match=r"fetch afhq\.zip") as error:
        len(data)
    assert "\n" not in str(error.value)
