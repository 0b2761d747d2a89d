from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from ganvas import Progress, Scheduled, Trained


@dataclass
class At:
    """A position; reading its share of the whole is noted."""

    index: int = 0
    images: int = 0
    share: float = 0.0
    read: bool = False

    @property
    def progress(self) -> float:
        self.read = True
        return self.share


# -- Trained -----------------------------------------------------------------------------------------------------------


class Encoder(nn.Module):
    features = 3

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))

    def forward(self, images: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return scale * self.layers(images)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self(images, scale=2.0)


class Holder(nn.Module):
    def __init__(self, encoder: Trained[Encoder]) -> None:
        super().__init__()
        self.encoder = encoder
        self.own = nn.Linear(2, 2)


def bits(module: nn.Module) -> str:
    return repr({name: value.tolist() for name, value in module.state_dict().items()})


def test_it_knows_what_the_spec_calls_it() -> None:
    assert Trained(Encoder(), "features").origin == "features"
    assert Trained(Encoder()).origin == ""


def test_it_is_frozen_to_the_bit_and_lets_gradients_through() -> None:
    module = Encoder()
    trained = Trained(module)
    holder = Holder(trained).train()
    before = bits(module)
    optimizer = torch.optim.SGD(holder.parameters(), lr=1.0)
    images = torch.randn(4, 2, requires_grad=True)
    for _ in range(2):
        holder.encoder(holder.own(images)).square().sum().backward()
        optimizer.step()
    assert bits(module) == before
    assert images.grad.any()
    assert holder.own.weight.grad.any()
    assert not any(inner.training for inner in module.modules())
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_who_holds_it_does_not_own_it() -> None:
    trained = Trained(Encoder())
    holder = Holder(trained)
    assert [name for name, _ in holder.named_parameters()] == ["own.weight", "own.bias"]
    assert list(holder.state_dict()) == ["own.weight", "own.bias"]
    assert holder.encoder is trained
    assert len(list(holder.modules())) == 2


def test_it_behaves_like_what_it_holds() -> None:
    module = Encoder()
    trained = Trained(module)
    images = torch.randn(4, 2)
    assert torch.equal(trained(images, scale=3.0), module(images, scale=3.0))
    assert torch.equal(trained.encode(images), module.encode(images))
    assert trained.features == 3
    assert trained.layers is module.layers
    with pytest.raises(AttributeError, match="has no attribute 'decode'"):
        trained.decode(images)


@pytest.mark.parametrize("name", ["train", "requires_grad_"])
def test_it_cannot_be_trained(name: str) -> None:
    trained = Trained(Encoder())
    with pytest.raises(AttributeError) as caught:
        getattr(trained, name)(True)
    assert str(caught.value) == f"a trained component is frozen: it has no {name!r} (take a .copy() to train it)"


def test_a_copy_can_be_trained_and_leaves_the_original_alone() -> None:
    module = Encoder()
    trained, before = Trained(module), bits(module)
    other = trained.copy()
    assert type(other) is Encoder
    assert all(inner.training for inner in other.modules())
    assert all(parameter.requires_grad for parameter in other.parameters())
    assert bits(other) == before
    other(torch.randn(4, 2)).square().sum().backward()
    torch.optim.SGD(other.parameters(), lr=1.0).step()
    assert bits(other) != before
    assert bits(module) == before
    assert not module.training


def test_copying_who_holds_it_does_not_copy_it() -> None:
    holder = Holder(Trained(Encoder()))
    assert copy.deepcopy(holder).encoder is holder.encoder
    assert copy.copy(holder.encoder).features == 3


# -- Scheduled ---------------------------------------------------------------------------------------------------------


def values(scheduled: Scheduled, *shares: float) -> list[float]:
    return [scheduled.at(At(share=share)) for share in shares]


def test_a_constant_reads_nothing() -> None:
    position = At(share=0.5)
    assert Scheduled.of(3).at(position) == 3
    assert Scheduled(3.0, every=(4, 7.0)).at(position) == 7.0
    assert not position.read
    assert Scheduled.of(Scheduled(2.0)) == Scheduled(2.0)
    assert Scheduled(3.0).constant


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", lambda t: 1 + 7 * t),
        ("cosine", lambda t: 1 + 7 * (1 - math.cos(math.pi * t)) / 2),
        ("exponential", lambda t: 8**t),
    ],
)
def test_the_closed_form_of_each_shape(shape: str, expected: object) -> None:
    shares = (0.0, 0.1, 0.5, 0.9, 1.0)
    found = values(Scheduled(1.0, to=8.0, shape=shape), *shares)
    assert found == pytest.approx([expected(share) for share in shares])  # type: ignore[operator]
    assert (found[0], found[-1]) == pytest.approx((1.0, 8.0))


def test_spans_of_their_own_do_not_read_the_length() -> None:
    position = At(index=25, images=100, share=0.9)
    assert Scheduled(0.0, to=1.0, over=("images", 400)).at(position) == 0.25
    assert Scheduled(0.0, to=1.0, over=("iterations", 50)).at(position) == 0.5
    assert Scheduled(0.0, to=1.0, over=("iterations", 5)).at(position) == 1.0
    assert not position.read
    assert Scheduled(0.0, to=1.0).at(position) == 0.9
    assert position.read


def test_hold_and_warm_up() -> None:
    assert values(Scheduled(4.0, to=0.0, hold=0.5), 0, 0.5, 0.75, 1) == [4, 4, 2, 0]
    assert values(Scheduled(4.0, warm_up=0.5), 0, 0.25, 0.5, 1) == [0, 2, 4, 4]
    assert values(Scheduled(4.0, to=0.0, warm_up=0.5), 0, 0.25, 0.5, 0.75, 1) == [0, 2, 4, 2, 0]
    assert values(Scheduled(4.0, to=0.0, warm_up=0.25, hold=0.5), 0.125, 0.4, 0.75) == [2, 4, 2]
    assert values(Scheduled(4.0, to=0.0, hold=1.0), 0, 1) == [4, 4]


def test_the_critic_steps_of_wgans_reference_implementation() -> None:
    scheduled = Scheduled(5, first=(25, 100), every=(500, 100))
    found = [scheduled.at(At(index=index)) for index in range(1001)]
    assert [index for index, value in enumerate(found) if value == 100] == [*range(25), 500, 1000]
    assert set(found) == {5, 100}
    assert not scheduled.constant


def test_progress_is_a_number_and_a_position() -> None:
    progress = Progress(At(index=3, images=12, share=0.25))
    assert 1 - progress == 0.75
    assert (progress.index, progress.images, progress.progress) == (3, 12, 0.25)
    assert Scheduled(1.0, 0.0).at(progress) == 0.75
    assert Scheduled(1.0, 0.0, over=("images", 24)).at(progress) == 0.5
