from __future__ import annotations

import copy
import math

import pytest
import torch

from ganvas import Critique, Generated, Latents

GROUPS = Latents({"noise": 3, "layer0": 2, "layer1": 4}, {"layer0": "uniform"})


def test_groups_lie_side_by_side() -> None:
    assert GROUPS.size == 9
    assert [GROUPS.slice(name) for name in GROUPS.groups] == [slice(0, 3), slice(3, 5), slice(5, 9)]
    with pytest.raises(KeyError, match="no group of latents is called 'z'; there are noise, layer0, layer1"):
        GROUPS.slice("z")


def test_split() -> None:
    flat = torch.arange(18.0).view(2, 9)
    parts = GROUPS.split(flat)
    assert {name: part.tolist() for name, part in parts.items()} == {
        "noise": [[0, 1, 2], [9, 10, 11]],
        "layer0": [[3, 4], [12, 13]],
        "layer1": [[5, 6, 7, 8], [14, 15, 16, 17]],
    }
    assert torch.equal(torch.cat(list(parts.values()), dim=1), flat)
    with pytest.raises(RuntimeError):
        GROUPS.split(torch.zeros(2, 10))


def test_moments_and_range_of_each_prior() -> None:
    number = 20_000
    drawn = GROUPS.sample(number, torch.Generator().manual_seed(0))
    assert drawn.shape == (number, 9)
    parts = GROUPS.split(drawn)
    for name in ("noise", "layer1"):
        assert parts[name].mean().abs() < 4 / math.sqrt(parts[name].numel())
        assert parts[name].std() == pytest.approx(1, abs=0.02)
        assert parts[name].abs().max() > 3
    uniform = parts["layer0"]
    assert uniform.abs().max() <= 1
    assert uniform.min() < -0.999
    assert uniform.max() > 0.999
    assert uniform.mean().abs() < 0.02
    assert uniform.std() == pytest.approx(1 / math.sqrt(3), abs=0.01)
    assert torch.corrcoef(drawn.T).fill_diagonal_(0).abs().max() < 0.04


def test_a_seed_gives_the_same_draws() -> None:
    draws = [GROUPS.sample(4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert Latents({"z": 5}).sample(2, torch.Generator()).shape == (2, 5)


def test_truncation_pulls_towards_zero() -> None:
    latents = torch.tensor([[1.0, -2.0]])
    assert Latents({"z": 2}).truncate(latents, 0.5).tolist() == [[0.5, -1.0]]
    assert Latents({"z": 2}).truncate(latents, 1).tolist() == latents.tolist()


def test_confined_latents_keep_their_quantiles() -> None:
    prior = Latents({"z": 3, "u": 1}, {"u": "uniform"})
    # Φ(1) - ½ = 0.341345, of which 60 % is 0.204807 = Φ(0.538276) - ½; the median stays; the bound is Φ⁻¹(0.8).
    latents = torch.tensor([[1.0, 0.0, -9.0, 0.5]])
    assert prior.confine(latents, 0.6)[0].tolist() == pytest.approx([0.538276, 0, -0.841621, 0.3], abs=1e-6)
    assert prior.confine(latents, 1) is latents
    assert prior.confine(latents, 0).tolist() == [[0, 0, 0, 0]]
    assert prior.confine(latents, 1 - 1e-9).isfinite().all()


def test_traverse_moves_one_axis_only() -> None:
    latent = torch.arange(9.0)[None]
    moved = GROUPS.traverse(latent, "layer0", 1, [-4, 0, 4])
    assert moved.shape == (3, 9)
    assert moved[:, 4].tolist() == [-4, 0, 4]
    kept = [axis for axis in range(9) if axis != 4]
    assert torch.equal(moved[:, kept], latent[:, kept].expand(3, -1))
    assert latent.tolist() == [list(range(9))]


def test_what_a_critique_gives_besides_scores() -> None:
    critique = Critique(torch.zeros(2, 3), direction=torch.ones(2), classes=torch.zeros(2, 5))
    assert critique.direction.tolist() == [1, 1]
    assert critique.features is None
    assert critique.layers == {}
    assert repr(critique) == "Critique(scores (2, 3), fields ['classes', 'direction'])"
    with pytest.raises(AttributeError) as caught:
        _ = critique.norm
    assert str(caught.value) == "this critique has no 'norm'; its head gives ['classes', 'direction']"
    with pytest.raises(AttributeError) as caught:
        _ = Critique(torch.zeros(2)).direction
    assert str(caught.value) == "this critique has no 'direction'; its head gives scores only"
    assert copy.copy(critique).direction is critique.direction


def test_what_comes_with_samples() -> None:
    made = Generated(torch.zeros(2, 1, 4, 4), mask=torch.ones(2))
    assert made.mask.tolist() == [1, 1]
    with pytest.raises(AttributeError) as caught:
        _ = made.mean
    assert str(caught.value) == "these samples carry no 'mean', only ['mask']"
    with pytest.raises(AttributeError) as caught:
        _ = Generated(torch.zeros(1)).mask
    assert str(caught.value) == "these samples carry no 'mask', only samples"


def test_a_normal_group_turns_and_a_uniform_one_goes_straight() -> None:
    prior = Latents({"z": 2, "u": 2}, {"u": "uniform"})
    a, b = torch.tensor([[2.0, 0.0, 0.5, -1.0]]), torch.tensor([[0.0, 4.0, -0.5, 1.0]])
    ways = prior.interpolate(a, b, torch.tensor([0.0, 1 / 3, 0.5, 1.0]))
    assert ways.shape == (1, 4, 4)
    # A third of the right angle at length 2 + 2/3, then half of it at length 3.
    turned = [[2, 0], [8 / 3 * math.cos(math.pi / 6), 8 / 3 * 0.5], [3 * math.sqrt(0.5)] * 2, [0, 4]]
    assert ways[0, :, :2].flatten().tolist() == pytest.approx(
        [number for point in turned for number in point], abs=1e-6
    )
    assert ways[0, :, 2:].flatten().tolist() == pytest.approx([0.5, -1, 1 / 6, -1 / 3, 0, 0, -0.5, 1], abs=1e-6)


def test_each_way_may_have_shares_of_its_own() -> None:
    prior = Latents({"z": 5, "u": 2}, {"u": "uniform"})
    a, b = (prior.sample(3, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    shares = torch.tensor([[0.0, 0.5], [0.25, 1.0], [0.75, 0.1]])
    ways = prior.interpolate(a, b, shares)
    for row in range(3):
        assert torch.equal(ways[row : row + 1], prior.interpolate(a[row : row + 1], b[row : row + 1], shares[row]))


def test_the_ends_of_a_way_are_the_two_latents_to_the_bit() -> None:
    prior = Latents({"z": 50, "few": 3, "one": 1, "u": 7}, {"u": "uniform"})
    a, b = (prior.sample(200, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    ways = prior.interpolate(a, b, torch.linspace(0, 1, 7))
    assert torch.equal(ways[:, 0], a)
    assert torch.equal(ways[:, -1], b)
    assert torch.equal(prior.interpolate(a, a, torch.linspace(0, 1, 7)), a[:, None].expand(-1, 7, -1))


def test_a_normal_group_keeps_its_length() -> None:
    prior = Latents({"z": 64})
    a, b = (20 * torch.nn.functional.normalize(prior.sample(50, torch.Generator().manual_seed(s))) for s in (0, 1))
    shares = torch.linspace(0, 1, 9)
    assert prior.interpolate(a, b, shares).norm(dim=2).sub(20).abs().max() < 1e-4
    # A straight way would lose a third of it; and with other lengths they go evenly from one to the other.
    assert torch.lerp(a, b, torch.tensor(0.5)).norm(dim=1).max() < 17
    lengths = prior.interpolate(a, 3 * b, shares).norm(dim=2)
    assert torch.allclose(lengths, (20 + 40 * shares).expand(50, 9), atol=1e-4)
    angles = torch.nn.functional.cosine_similarity(prior.interpolate(a, 3 * b, shares), a[:, None], dim=2).acos()
    assert torch.allclose(angles[:, 1:-1], shares[1:-1] * angles[:, -1:], atol=1e-3)


def test_without_a_direction_to_turn_the_way_is_straight() -> None:
    prior = Latents({"z": 2})
    a = torch.tensor([[3.0, 4.0]])
    half = torch.tensor([0.0, 0.25, 1.0])
    assert prior.interpolate(a, -a, half)[0].tolist() == [[3, 4], [1.5, 2], [-3, -4]]
    assert prior.interpolate(a, torch.zeros(1, 2), half)[0].tolist() == [[3, 4], [2.25, 3], [0, 0]]
    assert prior.interpolate(torch.zeros(1, 2), torch.zeros(1, 2), half)[0].tolist() == [[0, 0]] * 3
    assert prior.interpolate(a, 2 * a, half)[0].tolist() == [[3, 4], [3.75, 5], [6, 8]]


def test_how_far_a_group_goes() -> None:
    assert [GROUPS.reach(name) for name in GROUPS.groups] == [4, 1, 4]
