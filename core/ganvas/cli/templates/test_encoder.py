import ganvas
import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("encoder/template-name"))
def test_conformance(check):
    check()


def test_opposite_embeddings_are_as_uniform_as_two_can_be():
    backbone = ganvas.build("backbone", {"use": "timm", "model": "test_resnet"}, (1, 32, 32))
    encoder = Template(backbone, sharpness=2.0, weight=3.0)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    across = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert encoder.uniformity(opposite).item() == pytest.approx(-2.0 * 4)
    assert encoder.uniformity(across).item() == pytest.approx(-2.0 * 2)
    assert encoder.uniformity(across[:1]).item() == 0
    images = torch.randn(2, 1, 32, 32).repeat(2, 1, 1, 1)
    terms = encoder.eval().objective(images, images)  # two images, each twice: pairs at distance zero are aligned
    assert terms["alignment"].item() == pytest.approx(0, abs=1e-6)
    assert encoder.embeddings.shape == (8, encoder.features)
