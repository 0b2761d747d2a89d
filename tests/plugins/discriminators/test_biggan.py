import pytest
import torch

from ganvas_plugins.discriminators.biggan import BigGanDiscriminator, multiples
from ganvas_plugins.heads.linear import LinearHead


def head(features, condition):
    return LinearHead(features, condition)


@pytest.mark.parametrize(
    ("size", "maps", "attention"),
    [
        (32, [(256, 16), (256, 8), (256, 8), (256, 8)], None),
        (64, [(96, 32), (192, 16), (384, 8), (768, 4), (1536, 4)], None),
        (128, [(96, 64), (192, 32), (384, 16), (768, 8), (1536, 4), (1536, 4)], 96),
        (256, [(96, 128), (192, 64), (384, 32), (768, 16), (768, 8), (1536, 4), (1536, 4)], 192),
    ],
)
def test_the_maps_are_those_of_the_papers_tables(size, maps, attention):
    channels = 64 if size == 32 else 96
    with torch.device("meta"):
        network = BigGanDiscriminator((3, size, size), None, head=head, spectral_norm=False)
        critique = network(torch.empty(1, 3, size, size))
    assert network.blocks["level0"].first.out_channels == maps[0][0] == channels * (4 if size == 32 else 1)
    assert [tuple(v.shape[1:3]) for name, v in critique.layers.items() if name.startswith("level")] == maps
    assert ("attention" in network.blocks) == (attention is not None)
    if attention:
        assert tuple(critique.layers["attention"].shape[1:]) == (attention, 64, 64)
    assert critique.scores.shape == (1,)


def test_it_has_as_many_parameters_as_the_authors_network_for_cifar10():
    with torch.device("meta"):
        network = BigGanDiscriminator((3, 32, 32), None, head=head)
    blocks = (3 * 9 + 1) * 256 + (3 + 1) * 256 + 7 * (256 * 9 + 1) * 256 + (256 + 1) * 256
    assert sum(parameter.numel() for parameter in network.parameters()) == blocks + 256 + 1 == 4_204_801


def test_above_512_pixels_narrow_blocks_are_added():
    assert multiples(8) == (1, 1, 1, 2, 4, 8, 8, 16, 16)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 32, 48), (3, 64, 96)])
def test_sizes_and_that_a_score_is_one_samples_own(shape):
    network = BigGanDiscriminator(shape, None, channels=2, attention=shape[1] // 2, head=head).eval()
    torch.nn.init.ones_(network.blocks["attention"].gamma)
    images = torch.randn(3, *shape)
    torch.testing.assert_close(network(images[:1]).scores, network(images).scores[:1], rtol=1e-4, atol=1e-5)


def test_weights_start_orthogonal_or_small():
    plain = BigGanDiscriminator((1, 16, 16), None, channels=8, spectral_norm=False, head=head)
    weight = plain.blocks["level1"].second.weight.flatten(1)
    torch.testing.assert_close(weight @ weight.T, torch.eye(32), atol=1e-5, rtol=0)
    small = BigGanDiscriminator((1, 16, 16), None, channels=8, weights="normal", spectral_norm=False, head=head)
    assert small.blocks["level1"].second.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        BigGanDiscriminator((1, 30, 30), None, head=head)
    with pytest.raises(ValueError, match="no map has a shorter side of 64 pixels; set attention to 8 or 16, or to 0"):
        BigGanDiscriminator((1, 32, 32), None, attention=64, head=head)
