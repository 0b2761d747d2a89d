import math

import pytest
import torch
from torch import nn

from ganvas_plugins.equalised import ScaledLeakyReLU, equalise, pixel_norm


def test_what_is_used_has_the_deviation_of_its_fan_in_and_what_is_kept_that_of_the_rate():
    torch.manual_seed(0)
    network = equalise(nn.Sequential(nn.Linear(400, 300), nn.Conv2d(16, 300, 3)), 0.01)
    dense, convolution = network
    assert dense.weight.std().item() == pytest.approx(1 / math.sqrt(400), rel=0.02)
    assert convolution.weight.std().item() == pytest.approx(1 / math.sqrt(16 * 9), rel=0.02)
    kept = dense.parametrizations.weight.original
    assert kept.std().item() == pytest.approx(100, rel=0.02)
    torch.testing.assert_close(dense.weight, kept * (0.01 / 20))


def test_a_step_of_adam_moves_layers_of_any_width_by_rate_over_the_root_of_their_fan_in():
    for rate in (1.0, 0.01):
        for width in (4, 64):
            layer = equalise(nn.Linear(width, 3), rate)
            before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
            optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
            layer(torch.ones(2, width)).sum().backward()
            optimizer.step()
            torch.testing.assert_close(before - layer.weight, torch.full_like(before, 0.1 * rate / math.sqrt(width)))
            torch.testing.assert_close(bias - layer.bias, torch.full_like(bias, 0.1 * rate))


def test_what_has_a_parametrization_stays():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    weight = layer.parametrizations.weight.original.clone()
    equalise(layer, 0.5)
    assert torch.equal(layer.parametrizations.weight.original, weight)
    assert len(layer.parametrizations.weight) == 1


def test_pixel_norm_has_unit_mean_square():
    rows = pixel_norm(torch.randn(5, 7) * 30)
    torch.testing.assert_close(rows.square().mean(1), torch.ones(5))


def test_the_activation_keeps_the_second_moment_to_four_percent():
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    assert ScaledLeakyReLU()(values).square().mean().item() == pytest.approx(1.04, rel=0.01)
