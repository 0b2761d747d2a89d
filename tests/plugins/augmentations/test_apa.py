import pytest
import torch

from ganvas_plugins.augmentations.apa import Apa


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_images_stay_as_they_are():
    images = torch.randn(3, 2, 4, 5)
    assert Apa(start=1.0)(images, "real", rng()) is images


@pytest.mark.parametrize(("start", "share"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_each_real_has_a_fake_in_its_place_with_the_probability(start, share):
    images = torch.zeros(10_000, 1, 1, 1)
    chosen = Apa(start=start).mix(images, images, rng())
    assert chosen.shape == (10_000,)
    assert chosen.float().mean().item() == pytest.approx(share, abs=0.015)
    assert torch.equal(Apa(start=start).mix(images, images, rng()), chosen)
