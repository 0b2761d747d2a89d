import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from ganvas import DataField, MissingData
from ganvas_plugins.datasets.image_folder import ImageFolder


def test_a_flat_folder_has_no_labels(tmp_path, miniatures):
    written = miniatures.write_flat_folder(tmp_path)
    data = ImageFolder(root=tmp_path)
    assert data.fields == {"images": DataField((3, 96, 128))}
    assert (list(data.classes), len(data)) == ([], 16)
    assert list(data.tensors()) == ["images"]
    assert np.array_equal(data.tensors()["images"].permute(0, 2, 3, 1), written["images"])


def test_sub_folders_are_classes_at_any_depth(tmp_path, miniatures, caplog):
    miniatures.write_flat_folder(tmp_path / "dog", number=3)
    miniatures.write_flat_folder(tmp_path / "cat" / "young", number=2)
    miniatures.write_flat_folder(tmp_path / "cat" / "old", number=2)
    (tmp_path / "empty").mkdir()
    with caplog.at_level(logging.INFO, "ganvas"):
        data = ImageFolder(root=tmp_path)
        assert list(data.classes) == ["cat", "dog"]
    assert caplog.messages == [f"{tmp_path}: 7 images: cat 4, dog 3"]
    assert data.tensors()["labels"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert data[5]["labels"] == 1
    assert data.fields["labels"] == DataField((), "int64", (0, 1))


def test_grey_files_have_one_channel_unless_one_is_in_colour(tmp_path, miniatures):
    written = miniatures.write_flat_folder(tmp_path, number=3, channels=1)
    data = ImageFolder(root=tmp_path)
    assert data.fields["images"].shape == (1, 96, 128)
    assert np.array_equal(data.tensors()["images"][:, 0], written["images"])
    assert ImageFolder(root=tmp_path, channels=3).tensors()["images"].shape == (3, 3, 96, 128)
    Image.new("RGB", (128, 96)).save(tmp_path / "colour.bmp")
    assert ImageFolder(root=tmp_path).fields["images"].shape == (3, 96, 128)


def test_any_sizes_come_to_the_one_asked_for(tmp_path):
    for index, (width, height) in enumerate([(30, 50), (200, 20), (8, 8)]):
        Image.new("RGB", (width, height), (50, 100, 150)).save(tmp_path / f"{index}.png")
    images = ImageFolder(root=tmp_path, size=16).tensors()["images"]
    assert images.shape == (3, 3, 16, 16)
    assert images.unique().tolist() == [50, 100, 150]
    with pytest.raises(ValueError, match=r"3 sizes .* such as size: 64"):
        _ = ImageFolder(root=tmp_path).fields


def test_with_size_and_channels_given_fields_read_no_image(tmp_path):
    (tmp_path / "no.png").touch()
    assert ImageFolder(root=tmp_path, size=16, channels=3).fields["images"].shape == (3, 16, 16)


def test_fingerprint_follows_the_content_not_the_place(tmp_path, miniatures):
    miniatures.write_flat_folder(tmp_path / "here", number=4)
    before = ImageFolder(root=tmp_path / "here").fingerprint
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert ImageFolder(root=tmp_path / "there", size=8).fingerprint == before
    (tmp_path / "there" / "picture-000.png").rename(tmp_path / "there" / "renamed.png")
    assert ImageFolder(root=tmp_path / "there").fingerprint != before


def test_what_is_missing_or_mixed_is_said_in_one_line(tmp_path, miniatures):
    data = ImageFolder(root=tmp_path / "nowhere")
    with pytest.raises(MissingData, match=r"there is no folder .*nowhere; put images"):
        _ = data.fields
    with pytest.raises(MissingData, match="no images"):
        len(ImageFolder(root=tmp_path))
    miniatures.write_flat_folder(tmp_path, number=1)
    miniatures.write_flat_folder(tmp_path / "dog", number=1)
    with pytest.raises(MissingData, match="keep either all in sub-folders"):
        len(ImageFolder(root=tmp_path))
