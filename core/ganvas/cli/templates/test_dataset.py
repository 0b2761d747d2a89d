import math

import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("dataset/template-name"))
def test_conformance(check):
    check()


def test_the_spots_lie_on_the_ring():
    dataset = Template(size=(32, 48), samples=12, modes=4, jitter=0.0)
    images = dataset.tensors()["images"][:, 0].double()
    across = (images.sum(1) * (torch.arange(48) + 0.5) / 48).sum(1) / images.sum((1, 2))
    down = (images.sum(2) * (torch.arange(32) + 0.5) / 32).sum(1) / images.sum((1, 2))
    for label, x, y in zip(dataset.tensors()["labels"].tolist(), across.tolist(), down.tolist()):
        angle = 2 * math.pi * label / 4
        assert (x, y) == pytest.approx((0.5 + 0.3 * math.cos(angle), 0.5 + 0.3 * math.sin(angle)), abs=2e-3)
    assert dataset.tensors()["labels"].bincount().tolist() == [3, 3, 3, 3]
    assert dataset.fingerprint != Template(size=(32, 48), samples=12, modes=4, jitter=0.0, width=0.07).fingerprint
