"""Networks to measure with: batch norms that became part of convolutions change nothing but the last digits."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from ganvas_plugins.backbones.efficientnet_lite0 import MODEL
from ganvas_plugins.extractors.inception import fid_inception
from ganvas_plugins.extractors.pictures import folded


def trained(network: nn.Module) -> nn.Module:
    """Random weights, and statistics as if it had been trained."""
    rng = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.bias.data, -0.5)):
                assert isinstance(value, Tensor)
                value.copy_(torch.rand(value.shape, generator=rng) + low)
    return network.eval()


@pytest.mark.parametrize(
    "make", [lambda: timm.create_model(MODEL), fid_inception], ids=["efficientnet-lite0", "inception"]
)
def test_folding_keeps_the_function(make) -> None:
    torch.manual_seed(0)
    plain = trained(make())
    fast = folded(copy.deepcopy(plain))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    images = torch.rand(2, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        expected, found = plain(images), fast(images)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_norm_before_its_convolution_stays() -> None:
    network = trained(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)))
    fast = folded(copy.deepcopy(network))
    assert [type(module) for module in fast.children()] == [type(module) for module in network.children()]
