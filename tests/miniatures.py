"""Small data sets in the real on-disk formats of the large ones. Each function returns what it wrote."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image

ATTRIBUTES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)


def picture(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """A smooth uint8 picture (H, W, C) or, for one channel, (H, W): it survives JPEG nearly unchanged."""
    rng = np.random.default_rng(seed)
    y, x = np.linspace(-1, 1, height)[:, None, None], np.linspace(-1, 1, width)[None, :, None]
    a, b, c = rng.uniform(-1, 1, (3, channels))
    pixels = np.rint(127.5 + 40 * (a * x + b * y + c * x * y)).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


class Python2Pickler(pickle._Pickler):
    """Writes the opcodes of Python 2, in which CIFAR-10 was pickled: strings are bytes, numpy has its old name."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes | str) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        short = len(content) < 256
        self.write(b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content)))
        self.write(content)
        self.memoize(value)

    def save_global(self, value: object, name: str | None = None) -> None:
        module = str(value.__module__).replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or value.__name__}\n".encode())
        self.memoize(value)

    dispatch[bytes] = save_string
    dispatch[str] = save_string
    dispatch[type(pickle.dumps)] = save_global
    dispatch[type] = save_global


def write_cifar10(
    path: Path, form: str = "python", per_batch: int = 8, seed: int = 0
) -> dict[str, dict[str, np.ndarray]]:
    """``cifar-10-batches-py`` or, with ``form="binary"``, ``cifar-10-batches-bin`` below ``path``.

    Returns split -> {"images": (N, 3, 32, 32), "labels": (N,)}.
    """
    folder = Path(path) / ("cifar-10-batches-py" if form == "python" else "cifar-10-batches-bin")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    parts = []
    for name in names:
        images = rng.integers(0, 256, (per_batch, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10, per_batch)
        parts.append((images, labels))
        if form == "python":
            batch = {
                b"batch_label": b"a batch",
                b"labels": [int(label) for label in labels],
                b"data": images,
                b"filenames": [b"%d.png" % number for number in range(per_batch)],
            }
            with (folder / name).open("wb") as file:
                Python2Pickler(file, protocol=2).dump(batch)
        else:
            records = np.concatenate([labels[:, None].astype(np.uint8), images], axis=1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
    return {
        split: {
            "images": np.concatenate([images for images, _ in chosen]).reshape(-1, 3, 32, 32),
            "labels": np.concatenate([labels for _, labels in chosen]),
        }
        for split, chosen in (("train", parts[:5]), ("test", parts[5:]))
    }


def write_celeba(path: Path, number: int = 12, seed: int = 0) -> dict[str, np.ndarray]:
    """``img_align_celeba``, ``list_attr_celeba.txt`` and ``list_eval_partition.txt`` in ``path``.

    Of every four images two are for training, one for validation and one for testing. Returns ``images``
    (N, 218, 178, 3), ``attributes`` (N, 40) of 0 and 1, and ``partition`` (N,).
    """
    path = Path(path)
    (path / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    attributes = rng.integers(0, 2, (number, 40))
    partition = np.array([0, 0, 1, 2])[np.arange(number) % 4]
    images = np.stack([picture(218, 178, 3, seed + index) for index in range(number)])
    names = [f"{index + 1:06d}.jpg" for index in range(number)]
    for name, image in zip(names, images):
        Image.fromarray(image).save(path / "img_align_celeba" / name, quality=95)
    rows = [f"{name} " + " ".join(f"{2 * value - 1:2d}" for value in row) for name, row in zip(names, attributes)]
    (path / "list_attr_celeba.txt").write_text("\n".join([str(number), ATTRIBUTES + " ", *rows]) + "\n")
    (path / "list_eval_partition.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(names, partition)))
    return {"images": images, "attributes": attributes, "partition": partition}


def write_afhq(path: Path, per_class: int = 4, version: int = 2, side: int = 512) -> dict[str, np.ndarray]:
    """``train`` and ``test`` (``val`` in version 1) with ``cat``, ``dog`` and ``wild`` of png (jpg) files in ``path``.

    Returns the training split: ``images`` (N, side, side, 3) and ``labels`` (N,).
    """
    images, labels = [], []
    for split, number in (("train", per_class), ("test" if version == 2 else "val", 1)):
        for label, kind in enumerate(("cat", "dog", "wild")):
            folder = Path(path) / split / kind
            folder.mkdir(parents=True)
            for index in range(number):
                image = picture(side, side, 3, 100 * label + index + (split != "train") * 1000)
                name = f"flickr_{kind}_{index:06d}"
                if version == 2:
                    Image.fromarray(image).save(folder / f"{name}.png", compress_level=1)
                else:
                    Image.fromarray(image).save(folder / f"{name}.jpg", quality=95)
                if split == "train":
                    images.append(image)
                    labels.append(label)
    return {"images": np.stack(images), "labels": np.array(labels)}


def write_flat_folder(
    path: Path, number: int = 16, height: int = 96, width: int = 128, channels: int = 3
) -> dict[str, np.ndarray]:
    """``number`` png files in one folder. Returns ``images`` (N, H, W, C), or (N, H, W) for one channel."""
    Path(path).mkdir(parents=True, exist_ok=True)
    images = np.stack([picture(height, width, channels, index) for index in range(number)])
    for index, image in enumerate(images):
        Image.fromarray(image).save(Path(path) / f"picture-{index:03d}.png")
    return {"images": images}


def write_idx_folder(path: Path, gz: bool = True, train: int = 60, test: int = 20, seed: int = 0) -> dict:
    """The four idx files of MNIST and Fashion-MNIST. Returns split -> {"images": (N, 28, 28), "labels": (N,)}."""
    Path(path).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    written = {}
    for split, prefix, number in (("train", "train", train), ("test", "t10k", test)):
        images = np.stack([picture(28, 28, 1, int(rng.integers(2**31))) for _ in range(number)])
        labels = rng.permutation(np.arange(number) % 10).astype(np.uint8)
        for name, values in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            content = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
            if gz:
                (Path(path) / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (Path(path) / name).write_bytes(content)
        written[split] = {"images": images, "labels": labels}
    return written
