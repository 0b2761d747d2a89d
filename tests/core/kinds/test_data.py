from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch

from ganvas import Condition, Data, DataField, Dataset, MissingData, Segment
from ganvas.kinds.data import Sources, evenly, to_float

IMAGES = DataField((1, 1, 3))


class Small(Dataset):
    """Seven 1x1x2 images of their number."""

    classes = ("even", "odd")
    attributes = ("large",)
    fingerprint = "small"

    def __init__(self, size: int = 7, *, resident: bool = True) -> None:
        self.size, self.resident = size, resident

    @property
    def fields(self) -> Mapping[str, DataField]:
        return {"images": DataField((1, 1, 2)), "labels": DataField((), "int64", (0, 1))}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"images": torch.full((1, 1, 2), index, dtype=torch.uint8), "labels": torch.tensor(index % 2)}

    def tensors(self) -> dict[str, torch.Tensor] | None:
        if not self.resident:
            return None
        samples = [self[index] for index in range(self.size)]
        return {name: torch.stack([sample[name] for sample in samples]) for name in self.fields}


class Scene(Small):
    """Another size, and no labels."""

    classes = ()
    attributes = ()
    fingerprint = "scene"

    @property
    def fields(self) -> Mapping[str, DataField]:
        return {"images": DataField((3, 4, 5), "float32", (-1, 1))}

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"images": torch.full((3, 4, 5), index / 10)}


def test_the_ends_and_the_middle_are_exact() -> None:
    values = torch.tensor([[[[0.0, 127.5, 255.0]]]])
    assert to_float(values, IMAGES).flatten().tolist() == [-1, 0, 1]
    assert values.flatten().tolist() == [0, 127.5, 255]  # what was given stays
    for given in (torch.uint8, torch.int64, torch.float64):
        found = to_float(values.to(given), IMAGES)
        assert found.dtype == torch.float32
        assert (found[0, 0, 0, 0].item(), found[0, 0, 0, 2].item()) == (-1, 1)
    every = to_float(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16), IMAGES).flatten()
    assert (every.double() - (torch.arange(256).double() / 127.5 - 1)).abs().max() < 2e-7
    assert (every[1:] > every[:-1]).all()


def test_other_ranges() -> None:
    values = torch.tensor([[[[0.0, 0.25, 1.0]]]])
    assert to_float(values, DataField((1, 1, 3), "float32", (0, 1))).flatten().tolist() == [-1, -0.5, 1]
    whole = to_float(values, DataField((1, 1, 3), "float32", (-1, 1)))
    assert whole.flatten().tolist() == [0, 0.25, 1]
    assert whole.data_ptr() != values.data_ptr()
    odd = to_float(torch.tensor([[[[10, 20, 30]]]]), DataField((1, 1, 3), "int64", (10, 30)))
    assert odd.flatten().tolist() == [-1, 0, 1]


def test_what_is_no_image_stays_as_it_is() -> None:
    labels, attributes = torch.tensor([0, 3]), torch.tensor([[0, 1]], dtype=torch.uint8)
    assert to_float(labels, DataField((), "int64", (0, 9))) is labels
    assert to_float(attributes, DataField((2,), "uint8", (0, 1))) is attributes
    flow = torch.ones(1, 2, 3, 3)
    assert to_float(flow, DataField((2, 3, 3), "float32", None)) is flow


def test_a_description_makes_the_same_data_again_without_the_data() -> None:
    data = Data(Small())
    described = json.loads(json.dumps(data.describe()))
    again = Data(None, described)
    assert again.fields == data.fields
    assert again.fields["labels"] == DataField((), "int64", (0, 1))
    assert (again.classes, again.attributes) == (["even", "odd"], ["large"])
    assert again.shape == (1, 1, 2)
    assert again.fingerprint == "small"
    assert again.describe() == data.describe()
    with pytest.raises(MissingData, match="this stage was opened without its data"):
        len(again)
    again.attach(Small(3))
    assert len(again) == 3


def test_several_sources_are_told_apart_by_their_names() -> None:
    both = Sources({"photos": Small(4), "scenes": Scene(6)})
    data = Data(both)
    assert list(data.fields) == ["photos.images", "photos.labels", "scenes.images"]
    assert data.shape == (1, 1, 2)
    assert data.image_shape("scenes") == (3, 4, 5)
    assert data.classes == ["even", "odd"]
    assert data.fingerprint == "photos=small+scenes=scene"
    assert len(both) == 6
    assert {name: tuple(value.shape) for name, value in both[5].items()} == {
        "photos.images": (1, 1, 2),
        "photos.labels": (),
        "scenes.images": (3, 4, 5),
    }
    assert both[5]["photos.images"].flatten().tolist() == [1, 1]  # the fifth of four is the first but one
    assert [len(batch["images"]) for batch in data.batches(4, "scenes")] == [4, 2]
    again = Data(None, data.describe())
    assert again.image_shape("scenes") == (3, 4, 5)


@pytest.mark.parametrize("resident", [True, False])
def test_batches_come_in_the_samples_own_order(resident: bool) -> None:
    found = list(Data(Small(resident=resident)).batches(3))
    assert [batch["index"].tolist() for batch in found] == [[0, 1, 2], [3, 4, 5], [6]]
    images = torch.cat([batch["images"] for batch in found])
    assert images.dtype == torch.float32
    assert torch.equal(images, to_float(torch.stack([Small()[i]["images"] for i in range(7)]), DataField((1, 1, 2))))
    assert torch.cat([batch["labels"] for batch in found]).tolist() == [0, 1, 0, 1, 0, 1, 0]
    limited = list(Data(Small(resident=resident)).batches(3, limit=4))
    assert [batch["index"].tolist() for batch in limited] == [[0, 1, 2], [3]]


@pytest.mark.parametrize("resident", [True, False])
def test_only_chosen_samples_are_read_in_the_order_asked_for(resident: bool) -> None:
    data = Data(Small(resident=resident))
    everything = torch.cat([batch["images"] for batch in data.batches()])
    chosen = torch.tensor([5, 0, 2, 6])
    found = list(data.batches(3, indices=chosen))
    assert [batch["index"].tolist() for batch in found] == [[5, 0, 2], [6]]
    assert torch.equal(torch.cat([batch["images"] for batch in found]), everything[chosen])
    assert torch.cat([batch["labels"] for batch in found]).tolist() == [1, 0, 0, 0]
    assert [batch["index"].tolist() for batch in data.batches(indices=chosen, limit=2)] == [[5, 0]]


def test_samples_are_spread_evenly() -> None:
    assert evenly(10, 3).tolist() == [0, 3, 6]
    assert evenly(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(4, 9).tolist() == [0, 1, 2, 3]


def test_what_is_held_out() -> None:
    class Halves(Small):
        def held_out(self) -> Small:
            return Small()

    assert Data(Small()).held_out() is None
    held = Data(Halves()).held_out()
    assert held is not None
    assert len(held) == 7


def test_what_is_missing_is_asked_without_reading() -> None:
    class Absent(Small):
        def __len__(self) -> int:
            raise MissingData("fetch small.zip into data/")

    assert Small().missing() is None
    assert Absent().missing() == "fetch small.zip into data/"


def test_the_numbers_of_a_condition_by_what_they_mean() -> None:
    class Codes(Condition):
        segments = (Segment("continuous", 2), Segment("one-hot", 3), Segment("binary", 1), Segment("continuous", 1))

    condition = Codes()
    assert condition.numbers("continuous") == [0, 1, 6]
    assert condition.numbers("one-hot") == [2, 3, 4]
    assert condition.numbers("continuous", "binary") == [0, 1, 5, 6]
    assert Condition().numbers("binary") == []
