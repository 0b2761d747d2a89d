import copy

import pytest
import torch
from ganvas.testing import conformance
from torch import nn

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("backbone/template-name"))
def test_conformance(check):
    check()


def test_mirrored_images_under_mirrored_kernels_have_the_same_features():
    # 17 -> 9 -> 5 -> 3: on odd sides the places that a stride visits are symmetric
    backbone = Template((3, 17, 17), channels=4)
    mirrored = copy.deepcopy(backbone)
    with torch.no_grad():
        for module in mirrored.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.flip(-1))
    images = torch.randn(2, 3, 17, 17)
    torch.testing.assert_close(mirrored(images.flip(-1)), backbone(images), rtol=1e-4, atol=1e-5)
    sizes = [tuple(maps.shape[1:]) for maps in backbone.feature_maps(images).values()]
    assert sizes == [(4, 9, 9), (8, 5, 5), (16, 3, 3)]
