import os

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas import MissingData
from ganvas_plugins.datasets.image_files import as_mode, image_names
from ganvas_plugins.datasets.image_folder import ImageFolder


def test_names_are_sorted_nested_and_without_what_is_hidden(tmp_path):
    for name in ("b/2.PNG", "b/deep/1.jpg", "a/x.webp", "a/notes.txt", "a/.hidden.png", ".git/y.png", "z.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert image_names(tmp_path) == ["a/x.webp", "b/2.PNG", "b/deep/1.jpg", "z.jpeg"]


def test_modes_become_grey_or_rgb():
    deep = Image.fromarray(np.array([[0, 256, 65535]], np.uint16))
    assert np.asarray(as_mode(deep, 1)).tolist() == [[0, 1, 255]]
    clear = Image.fromarray(np.array([[[9, 9, 9, 0], [9, 9, 9, 255]]], np.uint8), "RGBA")
    assert np.asarray(as_mode(clear, 3)).tolist() == [[[255] * 3, [9] * 3]]
    black = Image.new("1", (2, 1), 1)
    assert np.asarray(as_mode(black, 3)).tolist() == [[[255] * 3] * 2]


def test_memory_and_workers_give_the_same_values(tmp_path, miniatures):
    miniatures.write_flat_folder(tmp_path)
    options = {"root": tmp_path, "size": (24, 40), "holdout": 0.25}
    whole = ImageFolder(**options).tensors()["images"]
    lazy = ImageFolder(**options, in_memory=False)
    assert lazy.tensors() is None
    assert torch.equal(torch.stack([lazy[index]["images"] for index in range(len(lazy))]), whole)
    assert whole.shape == (12, 3, 24, 40)


def test_what_does_not_fit_in_memory_is_left_on_disk(tmp_path, miniatures, monkeypatch):
    miniatures.write_flat_folder(tmp_path, number=4, height=8, width=8)
    monkeypatch.setattr("ganvas_plugins.datasets.image_files.MEMORY", 4 * 3 * 8 * 8 - 1)
    assert ImageFolder(root=tmp_path).tensors() is None
    assert ImageFolder(root=tmp_path, in_memory=True).tensors() is not None
    assert ImageFolder(root=tmp_path, size=4).tensors() is not None


def test_the_fingerprint_is_computed_once_and_again_after_a_change(tmp_path, miniatures, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "images"
    miniatures.write_flat_folder(folder, number=3)
    calls = []
    digest = ImageFolder.digest
    monkeypatch.setattr(ImageFolder, "digest", lambda self: calls.append(1) or digest(self))
    first = ImageFolder(root=folder).fingerprint
    assert ImageFolder(root=folder).fingerprint == first
    assert len(calls) == 1
    path = folder / "picture-001.png"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert ImageFolder(root=folder).fingerprint != first
    for cached in (tmp_path / "cache" / "images").iterdir():
        cached.write_bytes(b"{damaged")
    content[-20] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ImageFolder(root=folder).fingerprint == first


def test_photographs_are_turned_upright(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    data = ImageFolder(root=tmp_path)
    assert data.fields["images"].shape == (3, 16, 8)
    image = data.tensors()["images"][0]
    assert (image[:, :8] == 250).all()
    assert (image[:, 8:] == 0).all()


@pytest.mark.parametrize("damage", [lambda content: content[:200], lambda content: b"no image", lambda content: b""])
@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "webp"])
def test_an_unreadable_file_is_named_in_one_line(tmp_path, miniatures, damage, extension):
    miniatures.write_flat_folder(tmp_path, number=2, height=64, width=64)
    path = tmp_path / f"bad.{extension}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MissingData) as error:
        ImageFolder(root=tmp_path, size=8).tensors()
    assert str(error.value).startswith(f"{path} cannot be read as an image (")
    assert "\n" not in str(error.value)
