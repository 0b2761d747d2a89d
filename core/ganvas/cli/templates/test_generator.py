import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("generator/template-name"))
def test_conformance(check):
    check()


def test_every_pixels_features_have_unit_mean_square():
    generator = Template((1, 28, 28), (10,), channels=4)
    seen = []
    for block in generator.blocks:
        block.register_forward_hook(lambda module, given, maps: seen.append(maps))
    latents, condition = torch.randn(3, 64), torch.eye(10)[:3]
    samples = generator(latents, condition)
    assert [tuple(maps.shape) for maps in seen] == [(3, 16, 7, 7), (3, 8, 14, 14), (3, 4, 28, 28)]
    for maps in seen:
        assert maps.square().mean(1).flatten().tolist() == pytest.approx([1.0] * maps[:, 0].numel(), rel=1e-3)
    torch.testing.assert_close(generator(latents[:1], condition[:1]), samples[:1])
