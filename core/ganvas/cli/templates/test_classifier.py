import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("classifier/template-name"))
def test_conformance(check):
    check()


def test_two_opposite_pieces_make_an_absolute_value():
    classifier = Template((3,), 2, hidden=1, pieces=2)
    with torch.no_grad():
        classifier.affine[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]))
        classifier.affine[0].bias.zero_()
    features = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [1.0, 1.0, -1.0]])
    assert classifier.embed(features).flatten().tolist() == [1, 2, 0]
