"""The strengths of MoCo's views."""

from ganvas_plugins.augmentations.moco_views import MocoViews


def test_the_papers_choices_by_size():
    views = MocoViews()
    assert views.scale == ((0.5, 1.0), (0.2, 1.0))
    assert views.jitter == ((0.4, 0.4, 0.4, 0.1), (0.4, 0.4, 0.4, 0.1))
    assert views.blur == (0.0, 0.5)
    assert (views.flip, views.jitter_probability, views.grayscale, views.solarize) == (0.5, 0.8, 0.2, 0.0)


def test_what_the_spec_chooses_holds_for_every_size():
    views = MocoViews(scale=(0.3, 0.9), brightness=0.1, contrast=0.2, saturation=0.3, hue=0.05, blur=0.4)
    assert views.scale == ((0.3, 0.9), (0.3, 0.9))
    assert views.jitter == ((0.1, 0.2, 0.3, 0.05), (0.1, 0.2, 0.3, 0.05))
    assert views.blur == (0.4, 0.4)
