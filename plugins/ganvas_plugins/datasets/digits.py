"""The 8x8 digits of scikit-learn."""

from __future__ import annotations

import numpy as np

from ganvas_plugins.datasets.images import ArrayDataset


class Digits(ArrayDataset):
    """Handwritten digits of 8x8 pixels: 1,797 images, with no download; the fastest real data.

    ``images`` uint8 (1, 8, 8), whose 17 grey levels are spread over [0, 255]; ``labels`` 0 to 9.
    Source: Alpaydin & Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998.
    """

    shape = (1, 8, 8)
    names = tuple("0123456789")

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.datasets import load_digits

        data = load_digits()
        return np.rint(data.images * (255 / 16)).astype(np.uint8)[:, None], data.target
