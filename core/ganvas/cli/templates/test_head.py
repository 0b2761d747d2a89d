import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("head/template-name"))
def test_conformance(check):
    check()


def test_the_score_is_the_angle_whatever_the_length():
    head = Template(2, None, scale=4.0)
    with torch.no_grad():
        head.direction.copy_(torch.tensor([0.0, 3.0]))
    features = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    expected = [4, 0, -4, 4 / 2**0.5]
    assert head(features).scores.tolist() == pytest.approx(expected)
    assert head(100 * features).scores.tolist() == pytest.approx(expected)
    maps = features[:, :, None, None].expand(-1, -1, 3, 2)
    assert head(maps).scores.shape == (4, 3, 2)
    assert head(maps).scores[:, 2, 1].tolist() == pytest.approx(expected)
