import shutil

import numpy as np
import pytest

from ganvas import DataField, MissingData
from ganvas_plugins.datasets.celeba import ATTRIBUTES, CelebA


def test_images_and_attributes_of_each_split(tmp_path, miniatures):
    written = miniatures.write_celeba(tmp_path)
    for split, part in (("train", 0), ("valid", 1), ("test", 2)):
        chosen = written["partition"] == part
        whole = CelebA(root=tmp_path, split=split).tensors()
        assert np.array_equal(whole["attributes"], written["attributes"][chosen])
        images = whole["images"].permute(0, 2, 3, 1).numpy().astype(int)
        assert abs(images - written["images"][chosen]).max() <= 8  # JPEG
    assert len(CelebA(root=tmp_path, split="all")) == 12
    assert len(CelebA(root=tmp_path).held_out()) == 3


def test_attributes_are_selected_in_the_order_given(tmp_path, miniatures):
    written = miniatures.write_celeba(tmp_path)
    chosen = ["Young", "Bald"]
    data = CelebA(root=tmp_path, split="all", attributes=chosen, size=64, in_memory=False)
    columns = [ATTRIBUTES.index(name) for name in chosen]
    assert np.array_equal(data.targets()["attributes"], written["attributes"][:, columns])
    assert list(data.attributes) == chosen
    assert data.fields["attributes"] == DataField((2,), "uint8", (0, 1))
    assert data[3]["attributes"].tolist() == written["attributes"][3, columns].tolist()
    assert data[3]["images"].shape == (3, 64, 64)


def test_a_square_is_the_centre_of_178(tmp_path, miniatures):
    miniatures.write_celeba(tmp_path, number=4)
    whole = CelebA(root=tmp_path).tensors()["images"]
    assert (whole[:, :, 20:198] == CelebA(root=tmp_path, size=178).tensors()["images"]).all()


def test_fingerprint_follows_images_and_attributes_not_the_place(tmp_path, miniatures):
    miniatures.write_celeba(tmp_path / "a", number=4)
    before = CelebA(root=tmp_path / "a").fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "celeba")
    moved = CelebA(root=tmp_path / "b", attributes=["Bald"], size=32)
    assert moved.fingerprint == before
    path = tmp_path / "b" / "celeba" / "list_attr_celeba.txt"
    text = path.read_text()
    path.write_text(text.replace("-1", " 1", 1))
    assert CelebA(root=tmp_path / "b").fingerprint != before


def test_fields_need_no_data_and_missing_data_say_where_to_get_them(tmp_path):
    data = CelebA(root=tmp_path)
    assert data.fields == {"images": DataField((3, 218, 178)), "attributes": DataField((40,), "uint8", (0, 1))}
    with pytest.raises(MissingData, match=r"fetch img_align_celeba\.zip") as error:
        len(data)
    assert "\n" not in str(error.value)


def test_a_missing_image_and_a_damaged_list_are_named(tmp_path, miniatures):
    miniatures.write_celeba(tmp_path, number=4)
    (tmp_path / "img_align_celeba" / "000002.jpg").unlink()
    with pytest.raises(MissingData, match=r"000002\.jpg"):
        CelebA(root=tmp_path).tensors()
    with pytest.raises(MissingData, match=r"000002\.jpg is not there"):
        _ = CelebA(root=tmp_path).fingerprint
    path = tmp_path / "list_attr_celeba.txt"
    path.write_text(path.read_text()[:-60])
    with pytest.raises(MissingData, match="is damaged"):
        len(CelebA(root=tmp_path))


@pytest.mark.parametrize(
    ("names", "remedy"),
    [(["Bold"], "did you mean 'Bald'"), (["qqq"], "there are 5_o_Clock"), ([], "one or more"), (["Bald"] * 2, "once")],
)
def test_attributes_that_there_are_not_are_refused(tmp_path, names, remedy):
    with pytest.raises(ValueError, match=remedy):
        CelebA(root=tmp_path, attributes=names)
