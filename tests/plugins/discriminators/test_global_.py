import pytest
import torch

from ganvas_plugins.discriminators.global_ import GlobalDiscriminator
from ganvas_plugins.heads.linear import LinearHead


def head(features, condition):
    return LinearHead(features, condition)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_any_size_that_halves_gives_one_score_per_image(shape):
    network = GlobalDiscriminator(shape, None, channels=4, head=head)
    critique = network(torch.randn(3, *shape))
    assert critique.scores.shape == (3,)
    assert critique.features.shape[0] == 3
    assert set(critique.layers) >= {"stem", "level0", "base", "features"}
    assert 4 <= min(critique.layers["base"].shape[-2:]) <= 7


def test_channels_double_up_to_the_limit():
    network = GlobalDiscriminator((1, 64, 64), None, channels=4, max_channels=16, head=head)
    layers = network(torch.randn(1, 1, 64, 64)).layers
    assert [layers[name].shape[1] for name in ("stem", "level0", "level1", "level2", "level3")] == [4, 8, 16, 16, 16]


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        GlobalDiscriminator((1, 30, 30), None, head=head)


def test_a_score_is_one_samples_own():
    network = GlobalDiscriminator((1, 16, 16), None, channels=4, head=head)
    images = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(network(images).scores[:1], network(images[:1]).scores)


def test_it_uses_its_condition_only_when_asked_to():
    images, ones = torch.randn(2, 1, 16, 16), torch.eye(3)[:2]
    asked = GlobalDiscriminator((1, 16, 16), (3,), channels=4, head=head, conditional=True)
    silent = GlobalDiscriminator((1, 16, 16), (3,), channels=4, head=head)
    assert asked.conditional
    assert not silent.conditional
    assert not torch.equal(asked(images, ones).scores, asked(images, ones.flip(0)).scores)
    assert torch.equal(silent(images, ones).scores, silent(images, ones.flip(0)).scores)
    with pytest.raises(ValueError, match="has none"):
        GlobalDiscriminator((1, 16, 16), None, head=head, conditional=True)
