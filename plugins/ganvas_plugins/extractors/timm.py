"""Extractor ``timm``: any pretrained image network of the timm library."""

from pathlib import Path
from typing import Annotated, Any

import timm
import torch
from pydantic import Field
from torch import Tensor

from ganvas_plugins.backbones.timm import Timm
from ganvas_plugins.extractors.pictures import PictureExtractor, prepared
from ganvas_plugins.extractors.stage import digest


class TimmExtractor(PictureExtractor):
    """The pooled last features, (N, F), of a network of the timm library with trained weights.

    The weights are timm's own, which it fetches, or those of a file (``weights``, with ``prefix`` as for the backbone
    timm). Images (N, 1 or 3, H, W) in [-1, 1] are rounded to 8 bits, as if they had been saved, resized to the model's
    own input size or ``side`` (bicubic, antialiased, all of the image) and normalised as in timm's training, unless
    ``mean`` and ``deviation`` say how another training did it; grey ones are repeated. A ``side`` of one's own is part
    of the extractor's name, ``timm-resnet18-128``; the digest of the weights is part of the protocol.

    Raises:
        ValueError: timm knows no such model or has no weights for it, or those of the file are another network's.
        MissingData: the weights are not there.

    Source: Wightman, "PyTorch Image Models", 2019.
    """

    def __init__(
        self,
        *,
        model: Annotated[str, Field(description="name of the network in timm (timm.list_pretrained())")] = "resnet50",
        weights: Annotated[Path | None, Field(description="file of weights; timm's own if none")] = None,
        prefix: Annotated[
            str, Field(description="what stands before the model's names in that file, such as backbone.")
        ] = "",
        mean: Annotated[
            list[float] | None,
            Field(description="per channel or one for all, of images in [0, 1], that the training subtracted"),
        ] = None,
        deviation: Annotated[
            list[float] | None, Field(description="likewise, that it divided by; goes with mean")
        ] = None,
        side: Annotated[
            int | None, Field(ge=8, description="pixels that images are resized to; the model's own if none")
        ] = None,
    ) -> None:
        super().__init__()
        config = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
        self.side = side or (config.input_size[-1] if config is not None else 224)
        self.name = f"timm-{model}" + (f"-{side}" if side is not None else "")
        if config is not None and weights is not None and mean is None and deviation is None:
            mean, deviation = list(config.mean), list(config.std)
        self.network = Timm(
            (3, self.side, self.side),
            model=model,
            pretrained=weights is None,
            weights=weights,
            prefix=prefix,
            mean=mean,
            deviation=deviation,
            stem="original",
        )
        self.features = self.network.features
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._digest = ""

    @property
    def protocol(self) -> dict[str, Any]:
        if not self._digest:
            self._digest = digest(self.state_dict())
        return {
            "extractor": self.name,
            "weights": self._digest,
            "input": f"{self.side}x{self.side} bicubic, 8 bits",
        }

    def of_levels(self, values: Tensor) -> Tensor:
        return self.network(prepared(values, self.side))
