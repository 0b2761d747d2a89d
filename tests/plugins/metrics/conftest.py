"""Stages whose features are known: images are the features, and an encoder or an extractor gives them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from ganvas import Algorithm, Condition, Data, DataField, Dataset, Extractor
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

    @property
    def fingerprint(self):
        return f"vectors {float(self.features.double().sum())!r} {tuple(self.features.shape)}"

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


class Itself(Extractor):
    """The images as features; their first ``classes`` numbers are logits."""

    name = "itself"

    def __init__(self, features: int, classes: int = 0) -> None:
        super().__init__()
        self.features, self.classes, self.seen = features, classes, 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        return features[:, : self.classes]


class Replay(Algorithm):
    """Draws what it is given, in order; or what ``draw`` makes of conditions."""

    component_name = "replay"

    def __init__(self, data: Data, condition: Condition | None, draw: Callable[[Tensor | None], Tensor] | None) -> None:
        super().__init__(data)
        self.condition, self.draw = condition, draw

    def networks(self):
        return {}

    def updates(self):
        return []

    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        return self.draw(condition)


class Drawn(TrainedStage):
    """A stage whose samples are known."""

    given: Tensor

    def fakes(self, number: int) -> tuple[Tensor, Tensor | None]:
        assert number <= len(self.given)
        return self.given[:number], None


@pytest.fixture
def drawn(tmp_path, monkeypatch) -> Callable[..., Drawn]:
    """A stage with real features (N, F) and generated ones (M, F); measures into a cache folder of its own."""
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))

    def make(real, fake=None, labels=None, held=None, condition=None, draw=None) -> Drawn:
        data = Data(Vectors(torch.as_tensor(real), labels, None if held is None else Vectors(held, None)))
        algorithm = Replay(data, condition(data) if condition else None, draw)
        stage = Drawn("gan", algorithm, data, torch.device("cpu"), seed=0)
        stage.given = torch.zeros(0) if fake is None else torch.as_tensor(fake).float()[:, None, None]
        return stage

    return make


@pytest.fixture
def itself() -> type[Itself]:
    """The extractor that gives images back as features."""
    return Itself


@pytest.fixture
def blobs() -> Callable[..., tuple[Tensor, list[int]]]:
    """Points around the axes of a space, one axis per class: (classes * number, dimensions) and their classes."""

    def make(classes: int = 3, number: int = 40, spread: float = 0.1, dimensions: int = 6, seed: int = 0):
        rng = torch.Generator().manual_seed(seed)
        labels = torch.arange(classes * number) % classes
        features = torch.eye(dimensions)[labels] + spread * torch.randn(len(labels), dimensions, generator=rng)
        return features, labels.tolist()

    return make
