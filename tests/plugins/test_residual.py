import math

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from ganvas_plugins.layers import normalise_spectrally
from ganvas_plugins.residual import (
    DownBlock,
    NonLocal,
    PooledFeatures,
    UpBlock,
    attended,
    initialise,
    paper_halvings,
    widths,
)


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(5, 6), (8, 9)])  # without and with the window of 4x4
def test_a_block_that_doubles_is_what_the_paper_draws(size, upsampling, spectral):
    torch.manual_seed(0)
    block = UpBlock(3, 4, 2, upsampling)
    if spectral:
        normalise_spectrally(block)
    block.eval()
    with torch.no_grad():
        block.norm2.linear["gain"].weight.normal_()
    maps, condition = torch.randn(2, 3, *size), torch.randn(2, 2)

    def up(value):
        return interpolate(value, scale_factor=2, mode=upsampling)

    hidden = block.first(up(block.norm1(maps, condition).relu()))
    hidden = block.second(block.norm2(hidden, condition).relu())
    torch.testing.assert_close(block(maps, condition), hidden + block.shortcut(up(maps)))


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("halve", [False, True])
@pytest.mark.parametrize("size", [(6, 8), (16, 18)])  # without and with the window of 4x4
def test_a_block_that_halves_is_what_the_paper_draws(size, halve, first, spectral):
    torch.manual_seed(0)
    block = DownBlock(3, 4, 5, halve=halve, first=first)
    if spectral:
        normalise_spectrally(block)
    block.eval()
    maps = torch.randn(2, 3, *size)
    hidden = block.second(block.first(maps if first else maps.relu()).relu())
    expected = hidden + block.shortcut(maps)
    torch.testing.assert_close(block(maps), avg_pool2d(expected, 2) if halve else expected)


def test_gradients_of_the_shared_window_are_those_of_two_steps():
    torch.manual_seed(0)
    block = DownBlock(3, 4, 5, halve=True)
    maps = torch.randn(2, 3, 16, 18, requires_grad=True)
    plain = avg_pool2d(block.second(block.first(maps.relu()).relu()) + block.shortcut(maps), 2)
    parameters = [maps, *block.parameters()]
    for once, twice in zip(
        torch.autograd.grad(block(maps).square().sum(), parameters),
        torch.autograd.grad(plain.square().sum(), parameters),
    ):
        torch.testing.assert_close(once, twice, rtol=1e-4, atol=1e-4)


def test_a_block_that_changes_nothing_has_no_shortcut_layer():
    assert isinstance(DownBlock(4, 4, 4, halve=False).shortcut, nn.Identity)
    assert isinstance(DownBlock(4, 4, 4, halve=True).shortcut, nn.Conv2d)


def test_the_non_local_block_is_self_attention_and_starts_as_the_identity():
    torch.manual_seed(0)
    block, maps = NonLocal(16), torch.randn(2, 16, 6, 4)
    assert torch.equal(block(maps), maps)
    nn.init.constant_(block.gamma, 0.7)
    query = block.query(maps).reshape(2, 2, 24)
    key = max_pool2d(block.key(maps), 2).reshape(2, 2, 6)
    value = max_pool2d(block.value(maps), 2).reshape(2, 8, 6)
    weights = torch.einsum("ncp,ncq->npq", query, key).softmax(-1)
    mixed = torch.einsum("ncq,npq->ncp", value, weights).reshape(2, 8, 6, 4)
    torch.testing.assert_close(block(maps), maps + 0.7 * block.out(mixed))


@pytest.mark.parametrize(("pooling", "factor"), [("sum", 12.0), ("mean", 1.0)])
def test_features_are_pooled_after_the_cut(pooling, factor):
    maps = torch.cat([torch.ones(1, 1, 3, 4), -torch.ones(1, 1, 3, 4)], dim=1)
    assert PooledFeatures(pooling)(maps).tolist() == [[factor, 0.0]]


def test_attention_stands_where_it_is_asked_for_or_is_refused():
    assert attended([8, 16, 32], None) == 64
    assert attended([8, 16, 32], 0) == 0
    assert attended([8, 16, 32], 16) == 16
    with pytest.raises(ValueError) as refusal:
        attended([16, 8, 8], 20)
    assert str(refusal.value) == ("no map has a shorter side of 20 pixels; set attention to 8 or 16, or to 0 for none")


@pytest.mark.parametrize(("size", "depth"), [(8, 2), (28, 2), (32, 2), (40, 3), (48, 4), (64, 5), (96, 5), (128, 5)])
def test_images_are_halved_as_often_as_in_the_paper(size, depth):
    assert paper_halvings((3, size, size)) == depth


def test_channels_double_up_to_a_bound():
    assert widths((3, 32, 32), 3, None, None, small=256) == [256, 256, 256]
    assert widths((3, 48, 48), 4, None, None, small=256) == [64, 128, 256, 512]
    assert widths((3, 128, 128), 6, None, None, small=256) == [64, 128, 256, 512, 1024, 1024]
    assert widths((3, 32, 32), 3, 4, 8, small=256) == [4, 8, 8]


def test_initial_weights():
    network = nn.Sequential(UpBlock(32, 64, 3), nn.Linear(64, 64))
    initialise(network, "glorot")
    bounds = {
        "first": math.sqrt(2) * math.sqrt(6 / (9 * (32 + 64))),
        "second": math.sqrt(2) * math.sqrt(6 / (9 * (64 + 64))),
        "shortcut": math.sqrt(6 / (32 + 64)),
    }
    for name, bound in bounds.items():
        assert getattr(network[0], name).weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert network[1].weight.abs().max().item() == pytest.approx(math.sqrt(6 / 128), rel=0.01)
    assert not any(parameter.any() for name, parameter in network.named_parameters() if "bias" in name.split(".")[-1:])
    assert not network[0].norm1.linear["gain"].weight.any()
    initialise(network, "orthogonal")
    torch.testing.assert_close(network[1].weight @ network[1].weight.T, torch.eye(64), atol=1e-5, rtol=0)
    initialise(network, "normal")
    assert network[0].second.weight.std().item() == pytest.approx(0.02, rel=0.03)
