import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("translator/template-name"))
def test_conformance(check):
    check()


def test_the_mask_decides_between_the_image_and_the_colours():
    translator = Template((3, 9, 12), None, channels=4)
    images = torch.rand(2, 3, 9, 12) * 2 - 1
    with torch.no_grad():
        translator.mask.weight.zero_()
        translator.colours.weight.zero_()
        translator.colours.bias.copy_(torch.tensor([0.0, 0.5, -1.0]))
        translator.mask.bias.fill_(100.0)
        assert torch.equal(translator(images), images)
        translator.mask.bias.fill_(-100.0)
        painted = translator(images)
    colours = torch.tanh(torch.tensor([0.0, 0.5, -1.0]))
    torch.testing.assert_close(painted, colours[None, :, None, None].expand_as(images))
