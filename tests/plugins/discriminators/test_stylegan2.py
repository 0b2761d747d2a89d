import math

import pytest
import torch

from ganvas_plugins.discriminators.stylegan2 import GroupDeviation, ResidualBlock, StyleGan2Discriminator
from ganvas_plugins.heads.linear import LinearHead


def small(shape=(1, 8, 8), condition=None, **options):
    return StyleGan2Discriminator(shape, condition, head=LinearHead, **{"channels": 4, **options})


@pytest.mark.parametrize(("size", "channels", "parameters"), [(1024, 32, 29_012_513), (256, 128, 28_864_129)])
def test_config_f_has_the_published_number_of_parameters(size, channels, parameters):
    with torch.device("meta"):
        network = StyleGan2Discriminator((3, size, size), None, channels=channels, head=LinearHead)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_any_size_that_halves_gives_one_score_per_image(shape):
    for number in (1, 5, 8):
        critique = small(shape)(torch.randn(number, *shape))
        assert critique.scores.shape == (number,)
        assert critique.features.shape[0] == number
        assert 4 <= min(critique.layers["base"].shape[-2:]) <= 7


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        small((1, 30, 30))


def test_a_condition_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="has none"):
        small(conditional=True)


def test_the_deviation_is_that_of_each_place_within_a_group_averaged():
    maps = torch.zeros(4, 1, 2, 2)
    maps[:, 0, 0, 0] = torch.tensor([1.0, 10.0, 3.0, 10.0])  # groups are every second sample: (1, 3) and (10, 10)
    shown = GroupDeviation(2)(maps)
    assert shown.shape == (4, 2, 2, 2)
    assert torch.equal(shown[:, :1], maps)
    # The deviation of (1, 3) is 1, at one of four places.
    assert shown[:, 1, 1, 1].tolist() == pytest.approx([0.25, 1e-4, 0.25, 1e-4], abs=1e-4)
    assert GroupDeviation(1)(maps)[:, 1].unique().tolist() == pytest.approx([1e-4])


def test_a_score_is_one_samples_own_where_none_are_compared():
    network, images = small(group_size=1), torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(images).scores[:1], network(images[:1]).scores)
    network = small(group_size=4)
    assert not torch.allclose(network(images).scores[:1], network(images[:1]).scores)


def test_the_skip_is_the_filtered_image_and_the_sum_keeps_the_variance():
    block = ResidualBlock(2, 3)
    torch.nn.init.zeros_(block.main[3].weight)
    torch.nn.init.zeros_(block.main[3].bias)
    maps = torch.ones(1, 2, 8, 8)
    inside = block(maps)[..., 1:-1, 1:-1]
    expected = block.skip[1].weight.sum((1, 2, 3)) / math.sqrt(2)
    torch.testing.assert_close(inside, expected[None, :, None, None].expand_as(inside))


def test_all_weights_are_equalised_the_heads_too():
    network = small()
    kept = [name for name, _ in network.named_parameters() if name.endswith("weight")]
    assert kept == []
    assert network.head.score.parametrizations.weight.original.shape == (1, 8)


def test_a_gradient_penalty_reaches_every_weight():
    network, images = small((1, 16, 16)), torch.randn(4, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).scores.sum(), images, create_graph=True)
    slope.flatten(1).square().sum(1).mean().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached >= {name for name, _ in network.named_parameters() if name.endswith("original")}
