"""The views of SimCLR against kornia's operations and torch's own resampling."""

import kornia
import pytest
import torch
import torch.nn.functional as F

from ganvas_plugins.augmentations.simclr_views import SimclrViews, change_colours, crop, gaussian_blur, grey


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(number=5, channels=3, size=16, seed=1):
    return torch.rand(number, channels, size, size, generator=generator(seed))


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
    torch.testing.assert_close(change_colours(x, brightness, contrast, saturation, turns), expected, atol=2e-6, rtol=0)


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
    torch.testing.assert_close(grey(x)[:, :1], kornia.color.rgb_to_grayscale(x), atol=1e-6, rtol=0)
    assert grey(x).shape == x.shape


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


def test_a_view_depends_on_its_own_image_only():
    x = images() * 2 - 1
    views = SimclrViews(blur=0.5)
    before = views(x, "view", generator())
    other = x.clone()
    other[[0, 2, 3, 4]] = 0.3
    after = views(other, "view", generator())
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[0], after[0])


def test_equal_images_get_different_views():
    x = (images(1) * 2 - 1).expand(6, -1, -1, -1)
    views = SimclrViews()(x, "view", generator())
    assert len({tuple(view.flatten().tolist()) for view in views}) == 6


def test_the_generator_alone_decides():
    x = images() * 2 - 1
    first = SimclrViews(blur=1.0)(x, "view", generator(3))
    torch.rand(7)
    assert torch.equal(first, SimclrViews(blur=1.0)(x, "view", generator(3)))
    assert not torch.equal(first, SimclrViews(blur=1.0)(x, "view", generator(4)))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_views_stay_in_range(channels):
    x = images(32, channels) * 2 - 1
    views = SimclrViews(jitter=1.0, blur=1.0)(x, "view", generator())
    assert views.shape == x.shape
    assert views.min() >= -1 - 1e-5
    assert views.max() <= 1 + 1e-5


def test_nothing_but_a_full_crop_is_the_identity():
    x = images(channels=1) * 2 - 1
    views = SimclrViews(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, jitter=0.0)
    torch.testing.assert_close(views(x, "view", generator()), x, atol=1e-5, rtol=0)


def test_shares_of_flips_and_greys():
    x = torch.rand(1, 3, 4, 4, generator=generator()).expand(2000, -1, -1, -1) * 2 - 1
    plain = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "jitter": 0.0}
    flipped = SimclrViews(**plain, flip=0.3, grayscale=0.0)(x, "view", generator())
    share = (flipped - x.flip(3)).abs().amax((1, 2, 3)).lt(1e-5).float().mean()
    assert abs(share - 0.3) < 0.04  # four standard deviations
    greyed = SimclrViews(**plain, flip=0.0, grayscale=0.3)(x, "view", generator())
    share = (greyed[:, 0] - greyed[:, 1]).abs().amax((1, 2)).lt(1e-5).float().mean()
    assert abs(share - 0.3) < 0.04


def test_crops_keep_their_share_of_the_area():
    views = SimclrViews(scale=(0.2, 0.5))
    draws = torch.rand(4, 4000, generator=generator())
    x, y, width, height = views._boxes(draws, 1.5)
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


def test_small_images_are_not_blurred_by_default():
    plain = SimclrViews(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, jitter=0.0)
    small, large = images(8, 1, 32) * 2 - 1, images(8, 1, 64) * 2 - 1
    torch.testing.assert_close(plain(small, "view", generator()), small, atol=1e-5, rtol=0)
    assert (plain(large, "view", generator()) - large).abs().max() > 0.1


@pytest.mark.parametrize("options", [{"scale": (0.5, 0.2)}, {"scale": (0.0, 1.0)}, {"ratio": (2.0, 1.0)}])
def test_impossible_ranges_are_refused(options):
    with pytest.raises(ValueError, match="try"):
        SimclrViews(**options)
