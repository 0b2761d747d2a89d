import math

import pytest
import torch

from ganvas_plugins.resnext import ResNextBlock, draw


def block(channels=32, **options):
    return ResNextBlock(channels, **{"expansion": 2, "group_size": 16, "blocks": 8, **options})


def test_a_block_is_the_identity_at_the_start_and_learns_from_its_last_layer_on():
    made, maps = block(), torch.randn(2, 32, 5, 4)
    assert torch.equal(made(maps), maps)
    made(maps).square().sum().backward()
    moved = {name for name, parameter in made.named_parameters() if parameter.grad.any()}
    assert moved == {"narrow.weight"}


def test_the_first_layers_start_with_the_gain_of_the_paper():
    torch.manual_seed(0)
    made = block(128)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    assert made.widen.weight.std().item() == pytest.approx(gain / math.sqrt(128), rel=0.02)
    assert made.mix.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.02)


def test_parameters_by_the_layer_table():
    number = sum(p.numel() for p in block(96).parameters())
    assert number == 96 * 192 + 192 + 192 * 16 * 9 + 192 + 192 * 96


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError) as caught:
        block(12)
    assert str(caught.value) == ("24 channels (12 widened by 2) do not divide into groups of 16; set group_size to 12")


def test_draw_takes_the_fan_in_of_groups():
    torch.manual_seed(0)
    layer = draw(torch.nn.Conv2d(64, 64, 4, groups=64, bias=False), 2.0)
    assert layer.weight.std().item() == pytest.approx(2 / 4, rel=0.05)
