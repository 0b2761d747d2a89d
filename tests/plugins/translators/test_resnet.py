import pytest
import torch

from ganvas_plugins.translators.resnet import ResidualBlock, ResnetTranslator


def test_nine_blocks_above_128_pixels_and_six_below():
    with torch.device("meta"):
        large, small = ResnetTranslator((3, 256, 256), None), ResnetTranslator((3, 128, 128), None)
    assert sum(isinstance(m, ResidualBlock) for m in large.modules()) == 9
    assert sum(isinstance(m, ResidualBlock) for m in small.modules()) == 6
    # the reference network's 11,378,179 without the biases that instance norm takes away
    assert sum(p.numel() for p in large.parameters()) == 11_378_179 - (64 + 128 + 256 + 18 * 256 + 128 + 64)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (16, 36)])
def test_the_size_stays(size):
    network = ResnetTranslator((1, *size), None, channels=2, blocks=1)
    images = network(torch.randn(2, 1, *size))
    assert images.shape == (2, 1, *size)
    assert images.abs().max() <= 1


def test_inputs_may_have_other_channels():
    network = ResnetTranslator((3, 8, 8), None, channels=2, blocks=1, inputs=1)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 3, 8, 8)


def test_other_sizes_are_refused_with_sizes_that_fit():
    with pytest.raises(ValueError, match=r"\[28, 32\] or \[32, 36\]"):
        ResnetTranslator((3, 30, 33), None)


def test_images_are_translated_one_by_one():
    network = ResnetTranslator((1, 12, 12), None, channels=2, blocks=1)
    images = torch.randn(3, 1, 12, 12)
    torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-5, rtol=1e-4)
