"""Averaged weights: the closed form, what is copied, and that the live ones come back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from ganvas import Scheduled
from ganvas.engine.average import Average


def single(value: float = 0.0) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def bits(module: nn.Module) -> dict[str, Any]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_the_closed_form(step: Any) -> None:
    network = single(2.0)
    average = Average({"a": network}, Scheduled(30.0), batch_size=10)
    decay = 0.5 ** (10 / 30)
    expected = 2.0
    for index, value in enumerate([5.0, -1.0, 3.0, 3.0]):
        nn.init.constant_(network.weight, value)
        average.update(step(index))
        expected = decay * expected + (1 - decay) * value
        assert average.copies["a"].weight.item() == pytest.approx(expected, rel=1e-6)
    assert network.weight.item() == 3.0
    assert not average.copies["a"].weight.requires_grad


@pytest.mark.parametrize(("half_life", "size", "times"), [(64.0, 64, 1), (64.0, 32, 2), (64.0, 16, 4), (60.0, 20, 3)])
def test_a_weight_that_is_half_life_images_old_counts_half(half_life: float, size: int, times: int, step: Any) -> None:
    network = single(1.0)
    average = Average({"a": network}, Scheduled(half_life), size)
    nn.init.zeros_(network.weight)
    for index in range(times):
        average.update(step(index))
    assert average.copies["a"].weight.item() == pytest.approx(0.5, abs=1e-7)


def test_no_half_life_copies(step: Any) -> None:
    network = single(1.0)
    average = Average({"a": network}, Scheduled(0.0), 8)
    nn.init.constant_(network.weight, 0.3)
    average.update(step())
    assert torch.equal(average.copies["a"].weight, network.weight)


def test_a_half_life_that_grows(step: Any) -> None:
    network = single(1.0)
    average = Average({"a": network}, Scheduled(0.0, to=8.0, over=("iterations", 2)), 8)
    for index, (value, expected) in enumerate([(4.0, 4.0), (0.0, 0.25 * 4.0), (0.0, 0.5)]):
        nn.init.constant_(network.weight, value)
        average.update(step(index))
        assert average.copies["a"].weight.item() == pytest.approx(expected)


class Replacing(nn.Module):
    """Puts a new tensor in the place of its buffer, as ``self.mean = …`` does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("never", None)

    def forward(self) -> None:
        self.mean = self.mean + 1


def test_buffers_are_copied(step: Any) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), Replacing())
    average = Average({"a": network}, Scheduled(1000.0), 4)
    for index in range(3):
        network[1](network[0](torch.randn(4, 2)))
        network[2]()
        average.update(step(index))
    mean = average.copies["a"]
    assert mean[1].num_batches_tracked == 3
    assert torch.equal(mean[1].running_var, network[1].running_var)
    assert mean[2].mean.item() == 3
    nn.init.zeros_(network[0].weight)
    assert mean[0].weight.abs().min() > 0


def test_applied_swaps_and_restores_to_the_bit(step: Any) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = Average({"a": network}, Scheduled(50.0), 4)
    for index in range(2):
        with torch.no_grad():
            network[0].weight.add_(torch.randn(3, 2))
        network(torch.randn(4, 2))
        average.update(step(index))
    network(torch.randn(4, 2))  # running statistics that the average has not seen
    live, mean, parameter = bits(network), bits(average.copies["a"]), network[0].weight
    with average.applied():
        assert same(bits(network), mean)
        assert network[0].weight is parameter
    assert same(bits(network), live)
    assert same(bits(average.copies["a"]), mean)
    with pytest.raises(KeyboardInterrupt), average.applied():
        raise KeyboardInterrupt
    assert same(bits(network), live)

    # The average still follows the live weights after a swap.
    before = average.copies["a"][0].weight.clone()
    nn.init.zeros_(network[0].weight)
    average.update(step(2))
    assert torch.allclose(average.copies["a"][0].weight, before * 0.5 ** (4 / 50))


def test_networks_that_share_a_part_come_back_too(step: Any) -> None:
    trunk = nn.Linear(2, 2)
    networks = {"one": nn.Sequential(trunk, nn.Linear(2, 1)), "other": nn.Sequential(trunk, nn.Linear(2, 3))}
    average = Average(networks, Scheduled(10.0), 4)
    with torch.no_grad():
        trunk.weight.add_(1)
    average.update(step())
    live = copy.deepcopy(networks)
    mean = average.copies["one"][0].weight.clone()
    with average.applied():
        assert torch.equal(trunk.weight, mean)
    assert all(same(bits(networks[name]), bits(live[name])) for name in networks)
    assert torch.equal(average.copies["one"][0].weight, mean)
    assert torch.equal(average.copies["other"][0].weight, mean)


def test_the_state_goes_round_and_keeps_what_is_no_tensor(step: Any) -> None:
    class Counting(nn.Linear):
        seen = 0

        def get_extra_state(self) -> dict[str, int]:
            return {"seen": self.seen}

        def set_extra_state(self, state: dict[str, int]) -> None:
            self.seen = state["seen"]

    network = Counting(1, 1)
    average = Average({"a": network}, Scheduled(10.0), 4)
    network.seen = 5
    nn.init.constant_(network.weight, 7.0)
    average.update(step())
    state = average.state()
    assert state["a"]["_extra_state"] == {"seen": 5}
    again = Average({"a": Counting(1, 1)}, Scheduled(10.0), 4)
    again.load(state)
    assert torch.equal(again.copies["a"].weight, average.copies["a"].weight)
    assert again.copies["a"].seen == 5
