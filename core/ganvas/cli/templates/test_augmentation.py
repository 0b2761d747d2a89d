import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("augmentation/template-name"))
def test_conformance(check):
    check()


def test_the_noise_has_the_deviation_asked_for_and_gradients_pass_unchanged():
    images = torch.zeros(4, 1, 100, 100, requires_grad=True)
    noisy = Template(deviation=0.3)(images, "real", torch.Generator().manual_seed(0))
    # the deviation of 40,000 numbers is known to σ / sqrt(2 · 40,000); four of those are allowed
    assert noisy.std().item() == pytest.approx(0.3, abs=4 * 0.3 / 80_000**0.5)
    noisy.sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))
