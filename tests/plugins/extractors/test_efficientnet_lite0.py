"""EfficientNet-Lite0: the packaged weights do what they should on photographs."""

from pathlib import Path

import matplotlib
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms.functional import pil_to_tensor

from ganvas_plugins.extractors.efficientnet_lite0 import EfficientNetLite0
from ganvas_plugins.extractors.pictures import levels, prepared


@pytest.fixture(scope="module")
def extractor():
    return EfficientNetLite0()


def photographs():
    """A Chinese palace, a flower and an officer, squares in [-1, 1]; they come with scikit-learn and matplotlib."""
    palace, flower = (torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images)
    officer = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    for image in (palace, flower, pil_to_tensor(Image.open(officer).convert("RGB"))):
        side = min(image.shape[1:])
        top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
        square = image[:, top : top + side, left : left + side].float() / 127.5 - 1
        yield F.interpolate(square[None], 224, mode="bicubic", antialias=True).clamp(-1, 1)


def test_knows_what_photographs_show(extractor):
    logits = extractor.logits(extractor(torch.cat(list(photographs()))))
    assert logits.argmax(1).tolist() == [698, 985, 652]  # palace; daisy; military uniform
    assert (logits.softmax(1).amax(1) > 0.15).all()


def test_features_are_what_the_last_layer_sees(extractor):
    images = torch.cat(list(photographs()))
    features = extractor(images)
    assert features.shape == (3, extractor.features)
    torch.testing.assert_close(extractor.logits(features), extractor.network(prepared(levels(images).round(), 224)))


def test_any_size_and_grey_images(extractor):
    grey = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))


def test_images_are_rounded_to_eight_bits_unless_one_asks_otherwise(extractor):
    images = torch.arange(256).float().view(1, 1, 16, 16).repeat(1, 3, 14, 14) / 127.5 - 1
    moved = images + 0.3 / 127.5
    torch.testing.assert_close(extractor(images), extractor.unrounded(images), atol=1e-4, rtol=1e-4)
    assert torch.equal(extractor(moved), extractor(images))
    assert (extractor.unrounded(moved) - extractor.unrounded(images)).abs().max() > 1e-3


def test_frozen_and_built_without_storage(extractor):
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    with torch.device("meta"):
        assert next(EfficientNetLite0().parameters()).is_meta
