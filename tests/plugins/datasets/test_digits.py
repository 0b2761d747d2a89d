import torch
from sklearn.datasets import load_digits

from ganvas_plugins.datasets.digits import Digits


def test_grey_levels_are_spread_over_all_bytes():
    data, raw = Digits(), load_digits()
    whole = data.tensors()
    assert whole["images"].shape == (1797, 1, 8, 8)
    assert torch.equal((whole["images"][:, 0].double() * 16 / 255).round(), torch.from_numpy(raw.images))
    assert whole["images"].min() == 0
    assert whole["images"].max() == 255
    assert whole["labels"].tolist() == raw.target.tolist()
    assert data.fields["labels"].range == (0, 9)
