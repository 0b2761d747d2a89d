"""The asymmetric pair of BYOL."""

import pytest
import torch

from ganvas_plugins.augmentations.byol_views import ByolViews
from ganvas_plugins.augmentations.views import solarized

UNMOVED = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "jitter_probability": 0.0, "grayscale": 0.0}


def test_the_papers_choices_by_size():
    first, second = ByolViews(view="first"), ByolViews(view="second")
    for views in (first, second):
        assert views.scale == ((0.5, 1.0), (0.08, 1.0))
        assert views.jitter == ((0.4, 0.4, 0.2, 0.1), (0.4, 0.4, 0.2, 0.1))
        assert (views.flip, views.jitter_probability, views.grayscale) == (0.5, 0.8, 0.2)
    assert (first.blur, first.solarize) == ((0.0, 1.0), 0.0)
    assert (second.blur, second.solarize) == ((0.0, 0.1), 0.2)


def test_what_the_spec_chooses_holds_for_either_view():
    for view in ("first", "second"):
        views = ByolViews(view=view, blur=0.3, solarize=0.4, hue=0.2)
        assert (views.blur, views.solarize) == ((0.3, 0.3), 0.4)
        assert views.jitter[0] == (0.4, 0.4, 0.2, 0.2)


@pytest.mark.parametrize(("view", "blurred", "inverted"), [("first", 1.0, 0.0), ("second", 0.1, 0.2)])
def test_shares_of_blurred_and_solarised_views(view, blurred, inverted):
    number = 1000
    pattern = torch.tensor([0.0, -0.5]).repeat(64, 32)  # columns; nothing of it is bright enough to be inverted
    dark = pattern.expand(number, 1, 64, 64)
    part = ByolViews(view=view, **UNMOVED)
    made = part(dark, "view", torch.Generator().manual_seed(0))
    # mid-grey is inverted to itself, so only blurs show, and of these, in [0.1, 2], not the sigmas under 0.23
    share = (made - dark).abs().amax((1, 2, 3)).gt(1e-4).float().mean()
    expected = blurred * (1 - 0.13 / 1.9)
    assert abs(share - expected) < 4 * (expected * (1 - expected) / number) ** 0.5
    bright = torch.full((number, 3, 64, 64), 0.5)  # a blur leaves it as it is
    made = part(bright, "view", torch.Generator().manual_seed(1))
    share = (made - solarized(bright)).abs().amax((1, 2, 3)).lt(1e-5).float().mean()
    assert abs(share - inverted) <= 4 * (inverted * (1 - inverted) / number) ** 0.5
