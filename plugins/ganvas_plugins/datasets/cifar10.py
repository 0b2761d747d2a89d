"""CIFAR-10, from its python or its binary files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from pydantic import Field

from ganvas import Dataset, Incidental, MissingData
from ganvas_plugins.datasets.images import ArrayDataset

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"


class Cifar10(ArrayDataset):
    """Small colour photographs: 50,000 to train and 10,000 to test, ten classes.

    ``images`` uint8 (3, 32, 32), ``labels`` 0 to 9. Read from ``cifar-10-batches-py`` or ``cifar-10-batches-bin`` in
    ``root`` (or ``root`` itself). The python files are pickles: they are read by an unpickler that makes arrays, lists
    and strings and refuses all else, so that no code in them can run.
    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    shape = (3, 32, 32)
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        *,
        root: Annotated[Path, Field(description="folder that holds cifar-10-batches-py or cifar-10-batches-bin")],
        split: Annotated[Literal["train", "test"], Field(description="the data's own split")] = "train",
        download: Annotated[
            bool, Incidental, Field(description="downloads the python files where none are there")
        ] = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self.split, self.download = root, split, download

    def test_split(self) -> Dataset | None:
        return self.changed(split="test") if self.split == "train" else None

    def missing(self) -> str | None:
        return None if self.download else super().missing()  # training fetches them

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        found = self._found()
        if found is None and self.download:
            from torchvision.datasets import CIFAR10
            from torchvision.datasets.utils import download_and_extract_archive

            try:
                download_and_extract_archive(CIFAR10.url, str(self.root), md5=CIFAR10.tgz_md5)
            except Exception as error:  # torchvision raises what urllib, ssl or the disk raise
                reason = " ".join(str(error).split()) or type(error).__name__
                raise MissingData(
                    f"CIFAR-10 cannot be downloaded ({reason}); unpack {ADDRESS} in {self.root}"
                ) from error
            found = self._found()
        if found is None:
            raise MissingData(f"CIFAR-10 is not in {self.root}; fetch {ADDRESS} and unpack it there")
        paths, reader = found
        batches = [reader(path) for path in paths]
        images = np.concatenate([images for images, _ in batches]).reshape(-1, *self.shape)
        return images, np.concatenate([labels for _, labels in batches])

    def _found(self) -> tuple[list[Path], Callable[[Path], tuple[np.ndarray, np.ndarray]]] | None:
        names = [f"data_batch_{number}" for number in range(1, 6)] if self.split == "train" else ["test_batch"]
        for folder, suffix, reader in (
            ("cifar-10-batches-py", "", read_python_batch),
            ("cifar-10-batches-bin", ".bin", read_binary_batch),
        ):
            for place in (self.root / folder, self.root):
                paths = [place / f"{name}{suffix}" for name in names]
                if all(path.is_file() for path in paths):
                    return paths, reader
        return None


def read_binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label and 3,072 pixels (all red, all green, all blue) -> images (N, 3072), labels (N,)."""
    content = np.fromfile(path, np.uint8)
    if len(content) == 0 or len(content) % 3073:
        raise MissingData(f"{path} is damaged (its length is no multiple of 3073); unpack CIFAR-10 again")
    records = content.reshape(-1, 3073)
    return _checked(path, records[:, 1:], records[:, 0])


def read_python_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A pickled dict with ``data`` and ``labels`` -> images (N, 3072), labels (N,)."""
    try:
        with path.open("rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        return _checked(path, np.asarray(batch[b"data"]), np.asarray(batch[b"labels"]))
    except MissingData:
        raise
    except Exception as error:  # damaged pickles raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingData(f"{path} is no batch of CIFAR-10 ({reason}); unpack {ADDRESS} again") from error


def _checked(path: Path, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fits = images.dtype == np.uint8 and images.shape == (len(labels), 3072) and labels.ndim == 1
    if not fits or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() > 9:
        raise MissingData(f"{path} is no batch of CIFAR-10 (images or labels out of shape); unpack {ADDRESS} again")
    return images, labels


class _ArraysOnly(pickle.Unpickler):
    """Makes numpy arrays and Python's plain values, nothing else."""

    # What numpy itself writes into the pickle of an array, under the old and the new name of its module.
    _reconstruct = staticmethod(np.empty(0).__reduce__()[0])
    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, file: BinaryIO, *, encoding: str) -> None:
        super().__init__(file, encoding=encoding)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which was refused")
        return self._allowed[module, name]
