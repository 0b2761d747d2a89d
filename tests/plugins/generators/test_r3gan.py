import pytest
import torch

from ganvas_plugins.generators.r3gan import R3Gan
from ganvas_plugins.resnext import ResNextBlock


def small(shape=(1, 8, 8), condition=None, **options):
    return R3Gan(shape, condition, **{"channels": 8, "latent": 4, "blocks": 1, **options})


def test_the_papers_network_for_256_pixels_has_its_23_058_thousand_parameters():
    with torch.device("meta"):
        network = R3Gan((3, 256, 256), None)
    assert sum(p.numel() for p in network.parameters()) == 23_057_952
    widths = [level[-1].widen.in_channels for level in network.levels]
    assert widths == [768, 768, 768, 768, 384, 192, 96]
    assert {level[-1].mix.groups for level in network.levels[:4]} == {96}  # the paper's cardinality


def test_the_papers_network_for_cifar10_has_four_levels_of_768_channels():
    with torch.device("meta"):
        network = R3Gan((3, 32, 32), None, channels=768)
    blocks = [module for module in network.modules() if isinstance(module, ResNextBlock)]
    assert [block.widen.in_channels for block in blocks] == [768] * 8


def test_at_the_start_it_is_linear_in_the_latents():
    network, latents = small((3, 16, 24)), torch.randn(4, 4)
    sums = network(latents[:2]) + 2 * network(latents[2:])
    torch.testing.assert_close(network(latents[:2] + 2 * latents[2:]), sums, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_sizes_and_the_range_in_eval_mode(shape):
    network = small(shape).eval()
    images = network(torch.randn(3, 4) * 10)
    assert images.shape == (3, *shape)
    assert images.abs().max() == 1  # something was clamped


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        small((1, 30, 30))


def test_it_uses_its_condition():
    network, latents, ones = small(condition=(3,)), torch.randn(2, 4), torch.eye(3)[:2]
    assert network.conditional
    assert not torch.allclose(network(latents, ones), network(latents, ones.flip(0)))
