import math
from itertools import pairwise

import pytest
import torch

from ganvas_plugins.generators.resnet import ResnetGenerator

# Parameters of torch-mimicry 0.1.16's generators; DCGAN and WGAN-GP for 32x32 have SNGAN's.
MIMICRY = {32: 4_276_739, 48: 4_878_083, 64: 12_220_675, 128: 32_150_787}
NAMES = {"b1": "norm1.norm", "c1": "first", "b2": "norm2.norm", "c2": "second", "c_sc": "shortcut"}


def number(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("size", "parameters"), MIMICRY.items())
def test_the_defaults_have_as_many_parameters_as_the_papers_networks(size, parameters):
    with torch.device("meta"):
        assert number(ResnetGenerator((3, size, size), None)) == parameters


@pytest.mark.parametrize(
    ("size", "base", "widths"),
    [
        (32, 4, [256, 256, 256, 256]),
        (48, 6, [512, 256, 128, 64]),
        (64, 4, [1024, 512, 256, 128, 64]),
        (128, 4, [1024, 1024, 512, 256, 128, 64]),
    ],
)
def test_the_maps_are_those_of_the_papers_tables(size, base, widths):
    with torch.device("meta"):
        network = ResnetGenerator((3, size, size), None)
    assert tuple(network.project.weight.shape) == (base * base * widths[0], 128)
    assert [(block.first.in_channels, block.first.out_channels) for block in network.blocks] == list(pairwise(widths))
    assert network.image.in_channels == widths[-1]


def test_a_condition_costs_a_gain_and_a_shift_per_class_and_channel():
    with torch.device("meta"):
        plain, conditional = ResnetGenerator((3, 32, 32), None), ResnetGenerator((3, 32, 32), (10,))
    # six norms in three blocks, whose own gain and shift go
    assert number(conditional) - number(plain) == 6 * 2 * 256 * (10 - 1) == 27_648


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 32, 48), (3, 40, 40)])
def test_sizes_and_range(shape, upsampling):
    network = ResnetGenerator(shape, None, channels=4, max_channels=8, latent=5, upsampling=upsampling)
    latents = network.latents.sample(3, torch.Generator().manual_seed(0))
    assert latents.shape == (3, 5)
    images = network(latents)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert network(latents[:1]).shape == (1, *shape)


def test_the_base_may_be_larger():
    network = ResnetGenerator((1, 16, 24), None, channels=4, latent=5, base=8)
    assert len(network.blocks) == 1
    assert network.base == (8, 12)
    assert network(torch.randn(2, 5)).shape == (2, 1, 16, 24)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        ResnetGenerator((1, 30, 30), None)
    with pytest.raises(ValueError, match="does not lead to a shorter side of 5; set base to 1 or 2 or 4 or 8 or 16"):
        ResnetGenerator((1, 32, 32), None, base=5)


def test_it_starts_with_no_regard_to_its_condition_and_learns_it():
    torch.manual_seed(0)
    network = ResnetGenerator((1, 8, 8), (3,), channels=4, latent=5)
    latents, ones = torch.randn(1, 5).expand(2, -1), torch.eye(3)[:2]
    network.eval()
    first, second = network(latents, ones)
    assert torch.equal(first, second)
    (first - second + first).square().sum().backward()
    gains = [block.norm1.linear["gain"].weight for block in network.blocks]
    assert all(gain.grad[:, :2].abs().sum() > 0 and not gain.grad[:, 2].any() for gain in gains)
    with torch.no_grad():
        gains[0].add_(torch.randn(4, 3))
    first, second = network(latents, ones)
    assert (first - second).abs().max() > 1e-3


def test_weights_are_glorots():
    network = ResnetGenerator((3, 32, 32), None, channels=64)
    bound = math.sqrt(2) * math.sqrt(6 / (9 * 128))
    assert network.blocks[1].second.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert network.image.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (9 * (64 + 3))), rel=0.02)
    assert not network.image.bias.any()


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "name",
    ["sngan.SNGANGenerator32", "sngan.SNGANGenerator48", "wgan_gp.WGANGPGenerator32", "dcgan.DCGANGenerator32"],
)
def test_agrees_with_mimicry(name, training):
    nets = pytest.importorskip(
        "torch_mimicry.nets", reason="torch-mimicry needs TensorFlow and an older torch", exc_type=ImportError
    )
    package, _, cls = name.partition(".")
    torch.manual_seed(0)
    theirs = getattr(getattr(nets, package), cls)().train(training)
    size = int(cls[-2:])
    ours = ResnetGenerator((3, size, size), None, upsampling="bilinear").train(training)
    state = theirs.state_dict()
    layers = [layer for layer in state if layer.endswith(".weight")]
    copied = {}
    for layer in (layer.removesuffix(".weight") for layer in layers):
        block, _, part = layer.partition(".")
        if part:
            name = f"blocks.{int(block[5:]) - 2}.{NAMES[part]}"
        else:
            name = {"l": "project", "b": "norm", "c": "image"}[block[0]]
        copied |= {
            f"{name}{key.removeprefix(layer)}": value for key, value in state.items() if key.startswith(layer + ".")
        }
    ours.load_state_dict(copied)
    latents = torch.randn(4, 128)
    torch.testing.assert_close(ours(latents), theirs(latents), rtol=1e-3, atol=1e-4)
