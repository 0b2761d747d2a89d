from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganvas_plugins.discriminators.biggan import BigGanDiscriminator
from ganvas_plugins.generators.biggan import BigGanGenerator, multiples
from ganvas_plugins.heads.linear import LinearHead

CLASSES = 1000


def number(*networks):
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def test_both_networks_for_imagenet_at_128_pixels_have_as_many_parameters_as_the_papers():
    with torch.device("meta"):
        generator = BigGanGenerator((3, 128, 128), (CLASSES,))
        discriminator = BigGanDiscriminator((3, 128, 128), (CLASSES,), head=lambda f, c: LinearHead(f, c))
        projection = nn.Embedding(CLASSES, 16 * 96)
    # What the test of Google's compare_gan expects, whose networks are the original's.
    assert number(generator) == 70_433_988
    assert number(discriminator, projection) == 87_982_370


def test_the_network_for_cifar10_has_4_3_million_parameters():
    with torch.device("meta"):
        network = BigGanGenerator((3, 32, 32), (10,))
    assert number(network) == 4_304_387
    assert network.latents.groups == {"z": 128}
    assert [block[0].first.out_channels for block in network.blocks] == [256, 256, 256]
    assert not any(len(block) > 1 for block in network.blocks)


@pytest.mark.parametrize(
    ("size", "groups", "widths"),
    [
        (64, 5, [1536, 1536, 768, 384, 192]),
        (128, 6, [1536, 1536, 768, 384, 192, 96]),
        (256, 7, [1536, 1536, 768, 768, 384, 192, 96]),
        (512, 8, [1536, 1536, 768, 768, 384, 192, 96, 96]),
    ],
)
def test_the_maps_and_the_latents_are_those_of_the_papers_tables(size, groups, widths):
    with torch.device("meta"):
        network = BigGanGenerator((3, size, size), (CLASSES,))
    assert list(network.latents.groups.values()) == [20] * groups
    assert tuple(network.project.weight.shape) == (4 * 4 * widths[0], 20)
    assert [(b[0].first.in_channels, b[0].first.out_channels) for b in network.blocks] == list(pairwise(widths))
    assert [4 << level + 1 for level, block in enumerate(network.blocks) if len(block) > 1] == [64]
    assert {block[0].norm1.linear["gain"].in_features for block in network.blocks} == {128 + 20}


def test_above_512_pixels_narrow_maps_are_added():
    assert multiples(8) == (16, 16, 8, 8, 4, 2, 1, 1, 1)


def test_all_but_the_embedding_is_normalised_spectrally():
    network = BigGanGenerator((1, 64, 64), (3,), channels=2, latent=2)
    layers = {
        name: is_parametrized(layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    assert [name for name, normalised in layers.items() if not normalised] == ["embed"]
    plain = BigGanGenerator((1, 64, 64), (3,), channels=2, latent=2, spectral_norm=False)
    assert not any(is_parametrized(layer) for layer in plain.modules())


def test_each_group_of_latents_acts_in_its_block_only():
    torch.manual_seed(0)
    network = BigGanGenerator((1, 16, 16), (3,), channels=2, latent=3, hierarchical=True, embedding=4).eval()
    assert network.latents.groups == {"base": 3, "level0": 3, "level1": 3}
    latents, condition = torch.randn(1, 9), torch.eye(3)[:1]
    seen = []
    handles = [block[0].register_forward_hook(lambda *call: seen.append(call[2])) for block in network.blocks]
    network(latents, condition)
    latents[:, network.latents.slice("level1")] += 1
    network(latents, condition)
    for handle in handles:
        handle.remove()
    assert torch.equal(seen[0], seen[2])
    assert not torch.allclose(seen[1], seen[3])


@pytest.mark.parametrize("condition", [None, (3,)])
@pytest.mark.parametrize("options", [{}, {"hierarchical": True, "embedding": 4, "attention": 8, "weights": "normal"}])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 32, 48)])
def test_sizes_and_range(shape, options, condition):
    if options and shape[-1] == 28:
        options = {**options, "attention": 14}
    network = BigGanGenerator(shape, condition, channels=2, latent=3, **options)
    latents = network.latents.sample(2, torch.Generator().manual_seed(0))
    given = None if condition is None else torch.eye(3)[:2]
    images = network(latents, given)
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
    if given is not None:
        assert not torch.allclose(network.eval()(latents, given), network(latents, given.flip(0)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        BigGanGenerator((1, 30, 30), None)
    with pytest.raises(ValueError, match="no map has a shorter side of 64 pixels; set attention to 8 or 16 or 32, or"):
        BigGanGenerator((1, 32, 32), None, attention=64)
