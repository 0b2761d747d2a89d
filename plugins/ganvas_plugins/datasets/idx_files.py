"""Images in MNIST's idx format: what MNIST and Fashion-MNIST share."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ganvas import Dataset, Incidental, MissingData, cache_folder
from ganvas_plugins.datasets.images import ArrayDataset

__all__ = ["IdxFiles", "read_idx"]


class IdxFiles(ArrayDataset):
    """60,000 images to train and 10,000 to test, uint8 (1, 28, 28), with labels 0 to 9, in four idx files.

    Attributes:
        title: what the data are called.
        torchvision: the class of torchvision that knows where the files are.
        advice: where to get them, for the message that they are missing.
        system: where a package of the operating system puts them; no download goes there.
    """

    shape = (1, 28, 28)
    title: ClassVar[str]
    torchvision: ClassVar[str]
    advice: ClassVar[str]
    system: ClassVar[Path | None] = None

    def __init__(
        self,
        *,
        root: Annotated[
            Path | None,
            Field(description="folder with the idx files, gzipped or not; left out: where a package or a download is"),
        ] = None,
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
            raise MissingData(f"the {self.split} files of {self.title} in {self._folders[0]} do not belong together")
        return images[:, None], labels

    @property
    def _folders(self) -> list[Path]:
        """Where the files are looked for; a download goes to the last."""
        if self.root is not None:
            return [self.root]
        return [*([self.system] if self.system is not None else []), cache_folder() / self.title.lower()]

    def _file(self, name: str) -> Path:
        for folder in self._folders:
            for path in (folder / name, folder / f"{name}.gz"):
                if path.is_file():
                    return path
        reason, target = "", self._folders[-1]
        if self.download:
            try:
                return _download(self.torchvision, f"{name}.gz", target)
            except Exception as error:  # torchvision raises what urllib, ssl or the disk raise
                reason = f" and cannot be downloaded ({' '.join(str(error).split()) or type(error).__name__})"
        raise MissingData(f"{self.title} is not in {self._folders[0]}{reason}; {self.advice} into {target}")


def _download(dataset: str, name: str, folder: Path) -> Path:
    import torchvision
    from torchvision.datasets.utils import download_url

    known = getattr(torchvision.datasets, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:  # a download cut short must not look like a file
        download_url(known.mirrors[0] + name, aside, name, dict(known.resources)[name])
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
