"""Targets that follow, losses in full precision, projectors."""

import pytest
import torch
from torch import nn

from ganvas_plugins.encoders.parts import Target, check_backbone, full_precision, needs_others, perceptron


def test_a_target_follows_to_the_bit_and_has_no_parameters():
    torch.manual_seed(0)
    online = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    target = Target(online)
    assert list(target.parameters()) == []
    assert set(target.state_dict()) == {f"network.{name}" for name in online.state_dict()}
    before = {name: parameter.clone() for name, parameter in online.named_parameters()}
    with torch.no_grad():
        for parameter in online.parameters():
            parameter.add_(torch.randn_like(parameter))
        online[1].running_mean.fill_(7)
    target.follow(online, 0.75)
    for name, parameter in online.named_parameters():
        kept = target.network.get_buffer(name)
        assert torch.equal(kept, torch.lerp(before[name], parameter, 0.25))
        torch.testing.assert_close(kept, 0.75 * before[name] + 0.25 * parameter)
    assert torch.equal(target.network[1].running_mean, torch.zeros(2))  # its own statistics, not the online network's


@pytest.mark.parametrize(("momentum", "follows"), [(1.0, False), (0.0, True)])
def test_a_target_that_stays_and_one_that_jumps(momentum, follows):
    online = nn.Linear(2, 2)
    target, before = Target(online), online.weight.detach().clone()
    with torch.no_grad():
        online.weight.add_(1)
    target.follow(online, momentum)
    assert torch.equal(target.network.weight, online.weight if follows else before)


def test_shared_weights_move_once():
    online = nn.ModuleDict({"one": nn.Linear(2, 2), "other": nn.Linear(2, 2)})
    online["other"].weight = online["one"].weight
    target, before = Target(online), online["one"].weight.detach().clone()
    with torch.no_grad():
        online["one"].weight.add_(1)
    target.follow(online, 0.5)
    for name in online:
        torch.testing.assert_close(target.network[name].weight, before + 0.5)


def test_no_gradient_passes_a_target():
    target = Target(nn.Linear(2, 2))
    assert not target(torch.ones(1, 2, requires_grad=True)).requires_grad


def test_half_precision_is_widened_and_double_kept():
    seen = full_precision(lambda first, second: first @ second)
    half = torch.ones(1, 1, dtype=torch.bfloat16)
    assert seen(half, half).dtype == torch.float32
    assert seen(half.double(), half.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert seen(half.float(), half.float()).dtype == torch.float32


def test_layers_of_a_perceptron():
    layers = perceptron(3, 5, 7, 2, bias=False)
    assert [type(layer).__name__ for layer in layers] == [*["Linear", "BatchNorm1d", "ReLU"] * 2, "Linear"]
    assert [tuple(layer.weight.shape) for layer in layers if isinstance(layer, nn.Linear)] == [(5, 3), (7, 5), (2, 7)]
    assert [layer.bias is None for layer in layers if isinstance(layer, nn.Linear)] == [True] * 3
    assert perceptron(3, 5, 2)[-1].bias is not None


def test_one_image_where_others_are_needed():
    needs_others(2, "why")
    with pytest.raises(ValueError, match=r"^why, and batch_size is 1; set it to 2 or more$"):
        needs_others(1, "why")


def test_a_backbone_that_cannot_train_on_a_batch():
    backbone = nn.BatchNorm2d(1)
    check_backbone(backbone, (1, 1, 1, 1), "else")  # with real weights nothing is tried
    with torch.device("meta"):
        backbone = nn.BatchNorm2d(1)
        check_backbone(backbone, (1, 1, 2, 2), "else")
        with pytest.raises(ValueError) as raised:
            check_backbone(backbone, (1, 1, 1, 1), "else")
    assert str(raised.value) == (
        "the backbone cannot train on a batch of 1x1x1x1: Expected more than 1 value per channel when training, "
        "got input size torch.Size([1, 1, 1, 1]); else"
    )
