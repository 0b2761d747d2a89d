"""The strengths of SimCLR's views."""

import torch

from ganvas_plugins.augmentations.simclr_views import SimclrViews


def test_the_papers_choices_by_size():
    views = SimclrViews()
    assert views.scale == ((0.5, 1.0), (0.08, 1.0))
    assert views.jitter == ((0.4, 0.4, 0.4, 0.1), (0.8, 0.8, 0.8, 0.2))
    assert views.blur == (0.0, 0.5)
    assert (views.flip, views.jitter_probability, views.grayscale, views.solarize) == (0.5, 0.8, 0.2, 0.0)


def test_what_the_spec_chooses_holds_for_every_size():
    views = SimclrViews(scale=(0.2, 0.9), jitter=0.25, blur=0.3)
    assert views.scale == ((0.2, 0.9), (0.2, 0.9))
    assert views.jitter == ((0.2, 0.2, 0.2, 0.05), (0.2, 0.2, 0.2, 0.05))
    assert views.blur == (0.3, 0.3)


def test_small_images_are_not_blurred_by_default():
    plain = SimclrViews(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, jitter=0.0)
    rng = torch.Generator().manual_seed(0)
    small, large = (torch.rand(8, 1, size, size, generator=rng) * 2 - 1 for size in (63, 64))
    torch.testing.assert_close(plain(small, "view", rng), small, atol=1e-4, rtol=0)
    assert (plain(large, "view", rng) - large).abs().max() > 0.1
