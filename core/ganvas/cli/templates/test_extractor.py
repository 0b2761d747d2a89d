import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("extractor/template-name"))
def test_conformance(check):
    check()


def test_features_are_means_of_boxes():
    images = torch.zeros(1, 3, 4, 8)
    images[:, 0, :2, :4] = 0.9  # red in the first of the four boxes: a third of it is grey
    features = Template(side=2)(images)
    assert features.tolist() == [pytest.approx([0.3, 0, 0, 0])]
    many = torch.rand(5, 3, 32, 48) * 2 - 1
    torch.testing.assert_close(Template(side=8)(many).mean(1), many.mean((1, 2, 3)))
