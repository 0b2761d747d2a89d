import torch

from ganvas import Data
from ganvas_plugins.datasets.cifar10 import Cifar10
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.datasets.image_folder import ImageFolder
from ganvas_plugins.datasets.unpaired import Unpaired


def test_two_sources_of_their_own_lengths_and_shapes(tmp_path, miniatures):
    miniatures.write_flat_folder(tmp_path, number=5)
    data = Unpaired(a=lambda: ImageFolder(root=tmp_path), b=Digits)
    assert {name: len(part) for name, part in data.sources.items()} == {"a": 5, "b": 1797}
    assert len(data) == 1797
    assert torch.equal(data[6]["images"], data.a[1]["images"])
    seen = Data(data)
    assert set(seen.fields) == {"a.images", "b.images", "b.labels"}
    assert seen.image_shape("b") == (1, 8, 8)
    assert seen.shape == (3, 96, 128)


def test_the_fingerprint_tells_the_domains_apart(tmp_path, miniatures):
    miniatures.write_cifar10(tmp_path)
    train, test = (lambda: Cifar10(root=tmp_path)), (lambda: Cifar10(root=tmp_path, split="test"))
    assert Unpaired(a=train, b=test).fingerprint == Unpaired(a=train, b=test).fingerprint
    assert Unpaired(a=train, b=test).fingerprint != Unpaired(a=test, b=train).fingerprint


def test_held_out_parts_are_those_of_both_domains():
    data = Unpaired(a=lambda: Digits(holdout=0.1), b=lambda: Digits(holdout=0.2))
    held = data.held_out()
    assert (len(held.a), len(held.b)) == (180, 359)
    assert len(data.a) == 1617
    assert Unpaired(a=lambda: Digits(holdout=0.1), b=Digits).held_out() is None
