"""What metrics hold in their hands: features that are computed once, and a portrait at the end."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas import Algorithm, Data, DataField, Dataset, Measurement, Metric, Preview
from ganvas.engine.average import Average
from ganvas.engine.evaluation import TrainedStage, measure, portrait
from ganvas.kinds.options import Scheduled


class Numbers(Dataset):
    """Images of one pixel, labelled by whether they are odd."""

    fields = {"images": DataField((1, 1, 1), "float32", None), "labels": DataField((), "int64", (0, 1))}
    fingerprint = "numbers"

    def __init__(self, first: int = 0, number: int = 600, held: Dataset | None = None) -> None:
        self.values, self.held = torch.arange(first, first + number), held

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"images": self.values.float().view(-1, 1, 1, 1), "labels": self.values % 2}

    def held_out(self) -> Dataset | None:
        return self.held


class Doubling(Algorithm):
    component_name = "doubling"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.scale = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.scale.weight, 2)
        self.seen: list[int] = []

    def networks(self) -> dict[str, nn.Module]:
        return {"scale": self.scale}

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.seen.append(len(images))
        return self.scale(images.flatten(1))

    def portrait(self, stage: TrainedStage) -> dict[str, Preview]:
        assert not self.training
        return {"scale": Preview(self.scale.weight.detach().clone().view(1, 1, 1, 1))}


def staged(dataset: Dataset) -> TrainedStage:
    data = Data(dataset)
    return TrainedStage("features", Doubling(data).train(), data, torch.device("cpu"), seed=0)


def test_features_are_computed_once() -> None:
    stage = staged(Numbers(held=Numbers(first=1000, number=30)))
    some = stage.encoded(100)
    assert some.index.tolist() == list(range(0, 600, 6))
    assert some.features.flatten().tolist() == [2.0 * index for index in range(0, 600, 6)]
    assert some.labels is not None
    assert some.labels.tolist() == [0] * 100
    assert stage.algorithm.seen == [100]
    assert stage.encoded(100) is some
    everything = stage.encoded()
    assert stage.algorithm.seen == [100, 250, 250, 100]
    assert everything is stage.encoded(600) is stage.encoded(10_000)
    assert stage.encoded(3).features.flatten().tolist() == [0, 400, 800]  # of those that are known
    assert stage.encoded(held_out=True).features.flatten().tolist() == [2.0 * (1000 + index) for index in range(30)]
    assert stage.encoded(2, held_out=True).index.tolist() == [0, 15]
    assert stage.algorithm.seen == [100, 250, 250, 100, 30]
    assert stage.algorithm.training
    stage.forget()
    assert stage.encoded(100) is not some


def test_what_cannot_be_encoded_is_told() -> None:
    stage = staged(Numbers())
    with pytest.raises(ValueError, match=r"^the data of 'features' hold nothing out$"):
        stage.encoded(held_out=True)
    stage.algorithm.scale.weight.data.fill_(torch.inf)
    with pytest.raises(ValueError, match=r"^600 of 600 features are not finite: the encoder of 'features' diverged$"):
        stage.encoded()
    other = Algorithm(stage.data)
    other.component_name = "nothing"  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"^the stage 'features' \(nothing\) encodes nothing$"):
        TrainedStage("features", other, stage.data, torch.device("cpu"), seed=0).encoded()


def test_a_portrait_is_drawn_with_the_averaged_weights() -> None:
    stage = staged(Numbers())
    average = Average(stage.algorithm.networks(), Scheduled(100.0), 1)
    with torch.no_grad():
        stage.algorithm.scale.weight.fill_(5)
    said: list[str] = []
    assert portrait(stage, average, said.append)["scale"].images.item() == 2
    assert portrait(stage, None, said.append)["scale"].images.item() == 5
    assert stage.algorithm.scale.weight.item() == 5
    assert stage.algorithm.training
    stage.algorithm.portrait = lambda stage: stage.encoded(held_out=True)
    assert portrait(stage, None, said.append) == {}
    assert said == ["features: no portrait was drawn: the data of 'features' hold nothing out"]


def test_what_metrics_share_is_made_once_until_the_weights_change() -> None:
    stage = staged(Numbers())
    made: list[str] = []

    def make() -> int:
        made.append("one")
        return len(made)

    assert [stage.once(("one", 1), make), stage.once(("one", 1), make), stage.once(("one", 2), make)] == [1, 1, 2]
    stage.forget()
    assert stage.once(("one", 1), make) == 3


class Pictured(Metric):
    """One number, and the picture of what was measured last."""

    component_name = "pictured"
    needs = frozenset()
    protocol = {"of": "nothing"}

    def __init__(self, data: Data, value: float | None) -> None:
        super().__init__(data)
        self.value = value

    def measure(self, stage: TrainedStage) -> dict[str, Measurement]:
        if self.value is None:
            raise ValueError("there is nothing")
        return {"pictured": Measurement(self.value, better="lower")}

    def previews(self) -> dict[str, Preview]:
        assert self.value is not None
        return {"pictured": Preview(torch.full((1, 1, 1, 1), self.value))}


def test_pictures_come_with_the_numbers() -> None:
    stage = staged(Numbers())
    found, pictures, failures = measure(stage, [Pictured(stage.data, 0.5)], None)
    assert found["pictured"]["value"] == 0.5
    assert pictures["pictured"].images.item() == 0.5
    assert failures == {}
    assert measure(stage, [Pictured(stage.data, None)], None) == (
        {},
        {},
        {0: "the metric 'pictured' was not measured: there is nothing"},
    )
