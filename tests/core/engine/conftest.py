"""A dataset whose samples tell their number, and a job over an algorithm that is written in the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganvas import Algorithm, Data, DataField, Dataset, MissingData, Step, Update
from ganvas.engine.training import Job
from ganvas.kinds.algorithm import flat
from ganvas_plugins.optimizers.sgd import Sgd


class Numbered(Dataset):
    """Sample i is a 1x2x2 uint8 image full of i, but for one pixel, and the label i mod 3."""

    def __init__(self, number: int, *, resident: bool = True, unreadable: int | None = None) -> None:
        self.number, self.resident, self.unreadable = number, resident, unreadable

    @property
    def fields(self) -> Mapping[str, DataField]:
        return {"images": DataField((1, 2, 2)), "labels": DataField((), "int64", (0, 2))}

    @property
    def fingerprint(self) -> str:
        return f"numbered-{self.number}"

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if index == self.unreadable:
            raise MissingData(f"picture-{index}.png cannot be read; remove it or fetch it again")
        image = torch.full((1, 2, 2), index, dtype=torch.uint8)
        image[0, 0, 0] = 255
        return {"images": image, "labels": torch.tensor(index % 3)}

    def tensors(self) -> dict[str, Tensor] | None:
        if not self.resident:
            return None
        samples = [self[index] for index in range(self.number)]
        return {name: torch.stack([sample[name] for sample in samples]) for name in ("images", "labels")}


class Mirrored(Numbered):
    """The same, mirrored at random while training."""

    def augment(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        flip = torch.rand(len(batch["images"]), 1, 1, 1, generator=rng) < 0.5
        return batch | {"images": torch.where(flip, batch["images"].flip(-1), batch["images"])}


class Given(Algorithm):
    """An algorithm of networks and updates that a test hands over."""

    def __init__(self, data: Data, parts: dict[str, nn.Module], updates: Callable[[Any], list[Any]]) -> None:
        super().__init__(data)
        self.parts = nn.ModuleDict(parts)
        self.given = updates

    def networks(self) -> dict[str, nn.Module]:
        return dict(self.parts.items())

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return self.given(self)


@pytest.fixture
def numbered() -> type[Numbered]:
    return Numbered


@pytest.fixture
def mirrored() -> type[Mirrored]:
    return Mirrored


@pytest.fixture
def given() -> type[Given]:
    return Given


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    def make(parts: dict[str, nn.Module], updates: Callable[[Any], list[Any]], **options: Any) -> Job:
        """``updates`` gets the algorithm; plain gradient descent with a rate of 1 unless ``optimizers`` says else."""
        data = options.pop("data", None) or Data(Numbered(12))
        algorithm = Given(data, parts, updates)
        plain = {update.optimizer_name: Sgd(lr=1.0) for update in flat(algorithm.updates())}
        defaults: dict[str, Any] = {
            "optimizers": plain,
            "steps": 1,
            "batch_size": 4,
            "seed": 0,
            "device": torch.device("cpu"),
            "folder": tmp_path / "checkpoints",
        }
        return Job(name="stage", algorithm=algorithm, data=data, **defaults | options)

    return make


@pytest.fixture
def step() -> Callable[..., Step]:
    def make(index: int = 0, size: int = 4) -> Step:
        return Step(
            index=index,
            size=size,
            steps=100,
            device=torch.device("cpu"),
            rng=torch.Generator(),
            draw=lambda source, size: {},
            note_length=lambda: None,
        )

    return make
