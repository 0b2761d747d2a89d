"""What views are made of, against kornia's operations, torchvision's and torch's own resampling."""

import kornia
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as torchvision

from ganvas_plugins.augmentations.views import (
    Views,
    by_size,
    change_colours,
    crop,
    gaussian_blur,
    grey,
    solarized,
    turn_hue,
)

# What leaves the images as they are, up to rounding.
PLAIN = {
    "scale": ((1.0, 1.0), (1.0, 1.0)),
    "ratio": (1.0, 1.0),
    "flip": 0.0,
    "jitter": ((0.0,) * 4, (0.0,) * 4),
    "jitter_probability": 0.0,
    "grayscale": 0.0,
    "blur": (0.0, 0.0),
    "solarize": 0.0,
}
STRONG = {
    "scale": ((0.2, 1.0), (0.2, 1.0)),
    "ratio": (3 / 4, 4 / 3),
    "flip": 0.5,
    "jitter": ((0.8, 0.8, 0.8, 0.2),) * 2,
    "jitter_probability": 0.8,
    "grayscale": 0.2,
    "blur": (0.5, 0.5),
    "solarize": 0.5,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(number=5, channels=3, size=16, seed=1):
    return torch.rand(number, channels, size, size, generator=generator(seed))


def views(x, seed=0, **options):
    return Views(**PLAIN | options)(x, "view", generator(seed))


def within(share, probability, number=2000):
    """Four standard deviations of a binomial share."""
    return abs(float(share) - probability) < 4 * (probability * (1 - probability) / number) ** 0.5


def spread(number, low, high, seed=2):
    return low + (high - low) * torch.rand(number, generator=generator(seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_agree_with_kornia(channels):
    x = images(channels=channels)
    brightness, contrast, saturation = spread(5, 0.6, 1.4), spread(5, 0.6, 1.4, 3), spread(5, 0.6, 1.4, 4)
    turns = spread(5, -0.1, 0.1, 5)
    expected = kornia.enhance.adjust_brightness_accumulative(x, brightness)
    expected = kornia.enhance.adjust_contrast_with_mean_subtraction(expected, contrast)
    if channels == 3:
        expected = kornia.enhance.adjust_saturation_with_gray_subtraction(expected, saturation)
        expected = kornia.enhance.adjust_hue(expected, turns * 2 * torch.pi)
    actual = change_colours(x * 2 - 1, brightness, contrast, saturation, turns) / 2 + 0.5
    torch.testing.assert_close(actual, expected, atol=2e-6, rtol=0)


def test_neutral_factors_change_nothing():
    x = images()
    one, zero = torch.ones(5), torch.zeros(5)
    torch.testing.assert_close(change_colours(x, one, one, one, zero), x, atol=2e-6, rtol=0)


def test_a_whole_turn_of_hue_in_thirds_rotates_the_channels():
    x = images()
    third = torch.full((5,), 1 / 3)
    one = torch.ones(5)
    torch.testing.assert_close(change_colours(x, one, one, one, third), x.roll(1, dims=1), atol=1e-5, rtol=0)


def test_grey_agrees_with_kornia():
    x = images()
    torch.testing.assert_close(grey(x), kornia.color.rgb_to_grayscale(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [3, 7])
def test_blur_agrees_with_kornia(size):
    x, sigma = images(), spread(5, 0.1, 2.0)
    expected = kornia.filters.gaussian_blur2d(x, (size, size), torch.stack([sigma, sigma], 1), "reflect")
    torch.testing.assert_close(gaussian_blur(x, sigma, size), expected, atol=1e-6, rtol=0)


def test_the_whole_image_is_a_crop_and_flips():
    x, half, one = images(), torch.full((5,), 0.5), torch.ones(5)
    no = torch.zeros(5, dtype=torch.bool)
    torch.testing.assert_close(crop(x, half, half, one, one, no), x, atol=1e-6, rtol=0)
    torch.testing.assert_close(crop(x, half, half, one, one, ~no), x.flip(3), atol=1e-6, rtol=0)


def test_a_crop_is_the_resized_slice():
    x = images(1, size=16)
    # rows 2..9 and columns 4..11: centre (8, 6) of 16, sides of a half
    box = [torch.tensor([value]) for value in (8 / 16, 6 / 16, 0.5, 0.5)]
    expected = F.interpolate(x[:, :, 2:10, 4:12], 16, mode="bilinear", align_corners=False)
    actual = crop(x, *box, torch.tensor([False]))
    # at the border the slice knows no neighbours and the image does
    torch.testing.assert_close(actual[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.25, 0.5])
def test_hue_agrees_with_kornia_and_torchvision(turns):
    x = images()
    x[0, :, :4] = 0.3  # greys have no hue
    x[1, 0] = x[1, 1]  # two largest channels
    turned = turn_hue(x, torch.full((5,), turns))
    torch.testing.assert_close(turned, kornia.enhance.adjust_hue(x, turns * 2 * torch.pi), atol=3e-6, rtol=0)
    torch.testing.assert_close(turned, torchvision.adjust_hue(x, turns), atol=3e-6, rtol=0)


def test_hue_has_finite_gradients_everywhere():
    x = images()
    x[0] = 0.5
    x[1, 0] = x[1, 1]
    x.requires_grad_(True)
    turn_hue(x, spread(5, -0.5, 0.5)).square().sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad.abs().amax((1, 2, 3)) > 0).all()


def test_solarisation_inverts_from_one_half():
    values = torch.tensor([0.0, 0.25, 127 / 255, 0.5, 128 / 255, 0.75, 1.0]).view(1, 1, 1, -1)
    expected = torch.tensor([0.0, 0.25, 127 / 255, 0.5, 127 / 255, 0.25, 0.0])
    torch.testing.assert_close((solarized(values * 2 - 1) + 1).flatten() / 2, expected)
    x = images()
    torch.testing.assert_close((solarized(x * 2 - 1) + 1) / 2, kornia.enhance.solarize(x), atol=1e-6, rtol=0)


def test_a_view_depends_on_its_own_image_only():
    x = images() * 2 - 1
    before = views(x, **STRONG)
    other = x.clone()
    other[[0, 2, 3, 4]] = 0.3
    after = views(other, **STRONG)
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[0], after[0])


def test_equal_images_get_different_views():
    x = (images(1) * 2 - 1).expand(6, -1, -1, -1)
    assert len({tuple(view.flatten().tolist()) for view in views(x, **STRONG)}) == 6


def test_the_generator_alone_decides():
    x = images() * 2 - 1
    first = views(x, 3, **STRONG)
    torch.rand(7)
    assert torch.equal(first, views(x, 3, **STRONG))
    assert not torch.equal(first, views(x, 4, **STRONG))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_views_stay_in_range(channels):
    x = images(32, channels) * 2 - 1
    changed = views(x, **STRONG)
    assert changed.shape == x.shape
    assert changed.min() >= -1 - 1e-5
    assert changed.max() <= 1 + 1e-5


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_nothing_but_a_full_crop_is_the_identity(channels):
    x = images(channels=channels) * 2 - 1
    torch.testing.assert_close(views(x), x, atol=1e-5, rtol=0)


def test_probabilities_are_kept():
    x = torch.rand(1, 3, 4, 4, generator=generator()).expand(2000, -1, -1, -1) * 2 - 1
    flipped = views(x, flip=0.3)
    assert within((flipped - x.flip(3)).abs().amax((1, 2, 3)).lt(1e-5).float().mean(), 0.3)
    greyed = views(x, grayscale=0.3)
    assert within((greyed[:, 0] - greyed[:, 1]).abs().amax((1, 2)).lt(1e-5).float().mean(), 0.3)
    coloured = views(x, jitter=((0.4, 0.4, 0.4, 0.1),) * 2, jitter_probability=0.7)
    assert within((coloured - x).abs().amax((1, 2, 3)).gt(1e-4).float().mean(), 0.7)
    blurred = views(x, blur=(0.6, 0.0))
    # a sigma under 0.23 blurs next to nothing, and sigmas lie in [0.1, 2]
    assert within((blurred - x).abs().amax((1, 2, 3)).gt(1e-4).float().mean(), 0.6 * (1 - 0.13 / 1.9))
    inverted = views(x, solarize=0.2)
    assert within((inverted - solarized(x)).abs().amax((1, 2, 3)).lt(1e-5).float().mean(), 0.2)


def test_strengths_bound_what_they_change():
    white = torch.full((4000, 3, 2, 2), 0.0)  # 1/2 in [0, 1]
    strengths = (0.4, 0.0, 0.0, 0.0)
    factor = (views(white, jitter=(strengths, strengths), jitter_probability=1.0)[:, 0, 0, 0] + 1) / 2 / 0.5
    assert 0.6 <= factor.min() < 0.61
    assert 1.39 < factor.max() <= 1.4
    assert abs(factor.mean() - 1) < 4 * 0.4 / 3**0.5 / 4000**0.5


def test_small_images_have_amounts_of_their_own():
    x = images(200, 3, 4)
    options = {"blur": by_size(None, small=0.0, large=1.0), "scale": by_size(None, small=(1.0, 1.0), large=(0.5, 0.5))}
    torch.testing.assert_close(views(x, **options), x, atol=1e-5, rtol=0)
    large = images(2, 3, 64)
    assert (views(large, **options) - large).abs().amax((1, 2, 3)).min() > 0.1
    assert by_size(0.3, small=0.0, large=1.0) == (0.3, 0.3)


def test_crops_keep_their_share_of_the_area():
    part = Views(**PLAIN | {"ratio": (3 / 4, 4 / 3)})
    draws = torch.rand(4, 4000, generator=generator())
    x, y, width, height = part._boxes(draws, (0.2, 0.5), 1.5)
    area = width * height
    assert area.min() > 0.19
    assert area.max() <= 0.5 + 1e-6
    assert abs(area.mean() - 0.35) < 0.01
    for centre, side in ((x, width), (y, height)):
        assert (centre - side / 2).min() >= -1e-6
        assert (centre + side / 2).max() <= 1 + 1e-6
    shape = width / height / 1.5
    assert shape.min() > 3 / 4 - 1e-5
    assert shape.max() < 4 / 3 + 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": ((0.5, 0.2),) * 2}, "scale needs 0 < smallest <= largest <= 1, not [0.5, 0.2]; try [0.2, 1.0]"),
        ({"scale": ((0.0, 1.0),) * 2}, "scale needs 0 < smallest <= largest <= 1, not [0.0, 1.0]; try [0.2, 1.0]"),
        ({"ratio": (2.0, 1.0)}, "ratio needs 0 < narrowest <= widest, not [2.0, 1.0]; try [0.75, 1.333]"),
    ],
)
def test_impossible_ranges_are_refused(options, message):
    with pytest.raises(ValueError) as error:
        Views(**PLAIN | options)
    assert str(error.value) == message
