import torch

from ganvas_plugins.augmentations.none import NoAugmentation


def test_images_stay_as_they_are():
    images = torch.randn(2, 1, 4, 4)
    assert NoAugmentation()(images, "real", torch.Generator()) is images
    assert NoAugmentation().differentiable
