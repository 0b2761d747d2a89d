"""Fashion-MNIST, from a folder of idx files."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ganvas import Dataset, Incidental, MissingData, cache_folder
from ganvas_plugins.datasets.images import ArrayDataset

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


class FashionMnist(ArrayDataset):
    """Pictures of clothes: 60,000 to train and 10,000 to test, ten classes.

    ``images`` uint8 (1, 28, 28), ``labels`` 0 to 9. Read from the four idx files, gzipped or not, in ``root`` or where
    an earlier download put them; else downloaded with torchvision.
    Source: Xiao, Rasul & Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms", 2017.
    """

    shape = (1, 28, 28)
    names = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )

    def __init__(
        self,
        *,
        root: Annotated[Path, Field(description="folder with the idx files, gzipped or not")] = DEBIAN,
        split: Annotated[Literal["train", "test"], Field(description="the data's own split")] = "train",
        download: Annotated[bool, Incidental, Field(description="downloads the files where they are not there")] = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self.split, self.download = root, split, download

    def test_split(self) -> Dataset | None:
        return self.changed(split="test") if self.split == "train" else None

    def missing(self) -> str | None:
        return None if self.download else super().missing()  # training fetches them

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        prefix = "train" if self.split == "train" else "t10k"
        images = read_idx(self._file(f"{prefix}-images-idx3-ubyte"), dimensions=3)
        labels = read_idx(self._file(f"{prefix}-labels-idx1-ubyte"), dimensions=1)
        if images.shape[1:] != self.shape[1:] or len(images) != len(labels) or labels.max(initial=0) > 9:
            raise MissingData(f"the {self.split} files of Fashion-MNIST in {self.root} do not belong together")
        return images[:, None], labels

    @property
    def _target(self) -> Path:
        """Where a download goes: the folder that was asked for, but never the system's."""
        return cache_folder() / "fashion-mnist" if self.root == DEBIAN else self.root

    def _file(self, name: str) -> Path:
        for folder in (self.root, self._target):
            for path in (folder / name, folder / f"{name}.gz"):
                if path.is_file():
                    return path
        reason = ""
        if self.download:
            try:
                return _download(f"{name}.gz", self._target)
            except Exception as error:  # torchvision raises what urllib, ssl or the disk raise
                reason = f" and cannot be downloaded ({' '.join(str(error).split()) or type(error).__name__})"
        raise MissingData(
            f"Fashion-MNIST is not in {self.root}{reason}; install the Debian package dataset-fashion-mnist, or put "
            f"the four idx files (train-images-idx3-ubyte.gz, ...) from "
            f"https://github.com/zalandoresearch/fashion-mnist into {self._target}"
        )


def _download(name: str, folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST
    from torchvision.datasets.utils import download_url

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:  # a download cut short must not look like a file
        download_url(FashionMNIST.mirrors[0] + name, aside, name, dict(FashionMNIST.resources)[name])
        os.replace(Path(aside) / name, folder / name)
    return folder / name


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """An idx file of unsigned bytes, gzipped or not -> uint8 array.

    The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each size as a big-endian
    32-bit integer, the values.
    """
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        if content[:4] != bytes((0, 0, 8, dimensions)):
            raise ValueError("not an idx file of bytes")
        start = 4 + 4 * dimensions
        shape = np.frombuffer(content[4:start], ">u4").astype(int)
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise MissingData(f"{path} is damaged ({error}); fetch it again") from error
