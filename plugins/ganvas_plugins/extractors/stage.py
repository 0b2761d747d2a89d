"""Extractor ``stage``: an encoder or classifier that a stage trained, as the feature network of a metric."""

import hashlib
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Classifier, Data, Encoder, Extractor, Trained


class StageExtractor(Extractor):
    """The features of a network that a stage of the experiment trained, (N, F).

    An encoder gives what it encodes. A classifier gives its last layer before the logits, or the logits where it has
    no such layer. Numbers measured with it compare only for the same weights: their digest is part of the protocol, and
    the stage's name of the metric's (``fid@features``). A generator that was trained with the same network (as a frozen
    classifier, say) may have learnt to please it.

    Images are (N, C, H, W) in [-1, 1], of the size that the stage was trained on.

    Raises:
        ValueError: the stage's network cannot take the data's images.

    Source: none; it is ganvas' own.
    """

    def __init__(
        self,
        *,
        stage: Annotated[
            Trained[Encoder] | Trained[Classifier], Field(description="the stage whose encoder or classifier it is")
        ],
    ) -> None:
        super().__init__()
        self.stage = stage
        self.name = stage.origin
        width = getattr(stage, "features", None)
        self.features = len(stage.classes) if width is None else width
        # Not offered by every classifier: those whose logits are their only features.
        self.layer = "encode" if hasattr(stage, "encode") else "logits" if width is None else "embed"
        segments = getattr(stage, "segments", ())
        single = [segment.kind for segment in segments] == ["one-hot"]  # attributes are no classes
        self.classes = len(stage.classes) if single and (self.layer == "logits" or hasattr(stage, "logits")) else 0
        self._digest = ""

    def check(self, data: Data) -> None:
        """Raises ValueError where the network does not take these images."""
        parameter = next(iter(self.stage.parameters()), torch.zeros(()))
        try:
            with torch.no_grad():
                self(torch.zeros(1, *data.shape, device=parameter.device))
        except NotImplementedError:  # the meta device lacks an operation: what it says must wait for the real ones
            return

    @property
    def protocol(self) -> dict[str, Any]:
        if not self._digest:
            self._digest = digest(self.stage.state_dict())
        return {"extractor": "stage", "stage": self.name, "network": self._digest, "layer": self.layer}

    def forward(self, images: Tensor) -> Tensor:
        try:
            if self.layer == "logits":
                return self.stage(images)
            return getattr(self.stage, self.layer)(images).flatten(1)
        except (NotImplementedError, torch.OutOfMemoryError):
            raise
        except RuntimeError as error:
            said = " ".join(str(error).split())[:200]
            raise ValueError(
                f"the network of the stage {self.name!r} does not take images of {list(images.shape[1:])}; "
                f"name a stage that was trained on such images ({said})"
            ) from error

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, F) -> logits (N, K) of the classes that a classifier learned."""
        if not self.classes:
            return super().logits(features)
        return features if self.layer == "logits" else self.stage.logits(features)


def digest(state: dict[str, Any]) -> str:
    """Of all weights and buffers, by name."""
    found = hashlib.blake2b(digest_size=10)
    for name, value in state.items():
        if isinstance(value, Tensor):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()
