"""A stage whose features are known: its images are the features, and its encoder gives them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from ganvas import Algorithm, Data, DataField, Dataset
from ganvas.engine.evaluation import TrainedStage


class Vectors(Dataset):
    """Vectors (N, F) as images (1, 1, F), with labels where they are given."""

    def __init__(self, features: Tensor, labels: Sequence[int] | None, held: Dataset | None = None) -> None:
        self.features, self.labels, self.held = features, labels, held

    @property
    def fields(self):
        fields = {"images": DataField((1, 1, self.features.shape[1]), "float32", None)}
        return fields | ({} if self.labels is None else {"labels": DataField((), "int64", None)})

    @property
    def classes(self):
        return [] if self.labels is None else [f"class {label}" for label in range(max(self.labels) + 1)]

    fingerprint = "vectors"

    def __len__(self):
        return len(self.features)

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self):
        images = {"images": self.features.float()[:, None, None]}
        return images | ({} if self.labels is None else {"labels": torch.tensor(self.labels)})

    def held_out(self):
        return self.held


class Identity(Algorithm):
    """Encodes an image into itself."""

    component_name = "identity"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.calls = 0

    def networks(self):
        return {}

    def updates(self):
        return []

    def encode(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.flatten(1)


@pytest.fixture
def encoder_stage() -> Callable[..., TrainedStage]:
    def make(features, labels=None, held=None, views=None) -> TrainedStage:
        other = None if held is None else Vectors(torch.as_tensor(held[0]), held[1])
        data = Data(Vectors(torch.as_tensor(features), labels, other))
        algorithm = Identity(data)
        if views is not None:
            algorithm.views = views
        return TrainedStage("features", algorithm, data, torch.device("cpu"), seed=0)

    return make


@pytest.fixture
def blobs() -> Callable[..., tuple[Tensor, list[int]]]:
    """Points around the axes of a space, one axis per class: (classes * number, dimensions) and their classes."""

    def make(classes: int = 3, number: int = 40, spread: float = 0.1, dimensions: int = 6, seed: int = 0):
        rng = torch.Generator().manual_seed(seed)
        labels = torch.arange(classes * number) % classes
        features = torch.eye(dimensions)[labels] + spread * torch.randn(len(labels), dimensions, generator=rng)
        return features, labels.tolist()

    return make
