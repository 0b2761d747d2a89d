"""Backbone ``timm``: any image network of the timm library, by its name there."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import timm
import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Backbone, MissingData
from ganvas_plugins.backbones.weights import load

SMALL = 64  # inputs with a shorter side below this many pixels are small

STEM_POOLS = ("maxpool", "stem.pool", "features.pool0")  # where timm's families keep the pooling of their stem


class Timm(Backbone):
    """A network of the timm library without its classification layer.

    Image networks are made for 224 pixels and halve the resolution twice before their first block. For small images
    (``stem``) that is undone as in SimCLR's CIFAR-10 experiments: the first convolution becomes a 3x3 one of stride 1
    and the max pooling of the stem goes. This needs a first convolution of stride 2 (ResNets, deep stems and
    pre-activated ones included, DenseNets, EfficientNets, MobileNets, RegNets); networks that cut the image into
    patches (ConvNeXt, vision transformers) have no such stem: ``auto`` leaves them as they are, ``small`` refuses them.

    Images (N, C, H, W) in [-1, 1] give features (N, F) after timm's own pooling. The network sees them as

        ((images + 1) / 2 - ``mean``) / ``deviation``,

    with timm's own constants where ``pretrained``, otherwise as they are (a mean and a deviation of 0.5). A 7x7 kernel
    with pretrained weights that has to shrink keeps its 3x3 centre.

    ``weights`` takes what any training left, as long as it holds this network: timm's own files, whose classification
    layer is passed over, and checkpoints of other libraries, in which the network is one of several and ``prefix`` says
    which (``backbone.``). Its tensors are found by name, or by their order where a wrapper numbers the layers. A file
    does not tell how the images of that training were normalised: unless they were in [-1, 1], give ``mean`` and
    ``deviation`` (for ImageNet mostly [0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]).

    Source: Wightman, "PyTorch Image Models", 2019; small stem: Chen et al., "A Simple Framework for Contrastive
    Learning of Visual Representations", 2020, appendix B.9.
    """

    channels_last = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        model: Annotated[str, Field(description="name of the network in timm (timm.list_models())")] = "resnet18",
        pretrained: Annotated[bool, Field(description="start from timm's ImageNet weights")] = False,
        weights: Annotated[
            Path | None,
            Field(
                description="file of weights to start from: safetensors, a state dict, or a checkpoint that holds one"
            ),
        ] = None,
        prefix: Annotated[
            str, Field(description="what stands before the model's names in that file, such as backbone.")
        ] = "",
        mean: Annotated[
            list[float] | None,
            Field(
                description="per channel or one for all, of images in [0, 1], that the network's training subtracted"
            ),
        ] = None,
        deviation: Annotated[
            list[float] | None, Field(description="likewise, that it divided by; goes with mean")
        ] = None,
        stem: Annotated[
            Literal["auto", "small", "original"],
            Field(description="first layers: for small images under 64 pixels (auto), always small, or timm's own"),
        ] = "auto",
    ) -> None:
        super().__init__()
        channels, height, width = shape
        if not timm.is_model(model):
            near = difflib.get_close_matches(model, timm.list_models(), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() names those that exist"
            raise ValueError(f"timm knows no model {model!r}; {hint}")
        config = timm.get_pretrained_cfg(model)
        if pretrained and (config is None or not config.has_weights):
            raise ValueError(f"timm has no pretrained weights for {model!r}; drop pretrained or give a weights file")
        if prefix and weights is None:
            raise ValueError(
                f"prefix {prefix!r} is for the names in a file of weights; give the option weights, or drop prefix"
            )
        if (mean is None) != (deviation is None):
            given, other = ("mean", "deviation") if deviation is None else ("deviation", "mean")
            raise ValueError(f"{given} goes with {other}: give both, or neither")
        for name, values in (("mean", mean), ("deviation", deviation)):
            if values is not None and len(values) not in (1, channels):
                raise ValueError(
                    f"{name} has {len(values)} numbers for {channels} channels; give one each, or one for all"
                )
        if deviation is not None and min(deviation) <= 0:
            raise ValueError(f"deviation must be greater than 0, not {min(deviation):g}: the images are divided by it")
        fetched = pretrained and torch.get_default_device().type != "meta"  # sizes only: nothing to fetch
        self.model = _create(model, fetched, channels, (height, width), config)
        self.features = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        if stem == "small" or (stem == "auto" and min(height, width) < SMALL):
            self._shrink_stem(config, keep=pretrained, required=stem == "small")
        if weights is not None:
            classifier = getattr(config, "classifier", None) or ()
            load(self.model, Path(weights), prefix, (classifier,) if isinstance(classifier, str) else tuple(classifier))
        if hasattr(self.model, "forward_intermediates"):  # a few families got it late
            self.layers = tuple(f"stage{index}" for index, _ in enumerate(self.model.feature_info))
        self.normalise = pretrained or mean is not None
        if mean is None or deviation is None:
            mean, deviation = (config.mean, config.std) if pretrained else ((0.5,), (0.5,))
            if len(mean) not in (1, channels):
                mean, deviation = (sum(mean) / len(mean),), (sum(deviation) / len(deviation),)
        # [-1, 1] -> [0, 1] -> the training's normalisation, as one affine map
        deviations = torch.tensor(deviation).view(1, -1, 1, 1)
        self.register_buffer("scale", 0.5 / deviations)
        self.register_buffer("offset", (0.5 - torch.tensor(mean).view(1, -1, 1, 1)) / deviations)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(self._normalised(images))

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(N, C, H, W) -> maps (N, F_l, H_l, W_l) named ``stage0``, ``stage1``, ...: timm's intermediates."""
        if not self.layers:
            return super().feature_maps(images, layers)
        chosen = self.named_layers(layers)
        maps = self.model.forward_intermediates(
            self._normalised(images),
            indices=[self.layers.index(name) for name in chosen],
            intermediates_only=True,
            stop_early=True,
        )
        return dict(zip(chosen, maps))

    def _normalised(self, images: Tensor) -> Tensor:
        return images * self.scale + self.offset if self.normalise else images

    def _shrink_stem(self, config: object, *, keep: bool, required: bool) -> None:
        """Takes stride and pooling out of the stem, where there is a first convolution of stride 2."""
        place = getattr(config, "first_conv", None) or ""
        first = dict(self.model.named_modules()).get(place) if isinstance(place, str) else None
        if not isinstance(first, nn.Conv2d) or first.stride != (2, 2) or first.groups != 1:
            if required:
                raise ValueError(
                    f"{type(self.model).__name__} has no first convolution of stride 2 to make a small stem of; "
                    f"use stem: original, or a model of the ResNet family"
                )
            return
        if first.kernel_size == (3, 3):
            first.stride = (1, 1)
        else:
            small = nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1, bias=first.bias is not None)
            nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
            if keep:
                middle = first.kernel_size[0] // 2
                with torch.no_grad():
                    small.weight.copy_(first.weight[..., middle - 1 : middle + 2, middle - 1 : middle + 2])
            self.model.set_submodule(place, small)
        for pool in STEM_POOLS:
            if pool in dict(self.model.named_modules()):
                self.model.set_submodule(pool, nn.Identity())


def _create(model: str, pretrained: bool, channels: int, size: tuple[int, int], config: Any) -> nn.Module:
    options = {"num_classes": 0, "in_chans": channels}
    if getattr(config, "fixed_input_size", False):
        options["img_size"] = size
    if pretrained:
        try:
            return timm.create_model(model, pretrained=True, **options)
        except Exception as error:  # each way of fetching has errors of its own
            raise MissingData(
                f"cannot fetch timm's weights of {model!r} ({type(error).__name__}); run once with a network, "
                f"or download them elsewhere and give the backbone's options weights: FILE, mean: "
                f"{list(config.mean)} and deviation: {list(config.std)}"
            ) from error
    try:
        network = timm.create_model(model, pretrained=False, **options)
        if torch.get_default_device().type == "meta":  # costs nothing there, and some refuse a size only when run
            network(torch.empty(2, channels, *size))
        return network
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"timm cannot build {model!r} for {channels}x{size[0]}x{size[1]} images: {reason}") from error
