"""The order of samples is a pure function of the seed and the position, wherever the samples lie."""

from __future__ import annotations

import pytest
import torch

from ganvas import Data, Dataset, MissingData
from ganvas.engine.batches import Batches
from ganvas.engine.randomness import Randomness
from ganvas.kinds.data import Sources

CPU = torch.device("cpu")


def batches(dataset: Dataset, size: int, seed: int = 0) -> Batches:
    return Batches(Data(dataset), size, Randomness(seed, CPU), CPU)


def indices(stream: Batches, times: int, source: str | None = None, size: int | None = None) -> list[int]:
    return [index for _ in range(times) for index in stream.draw(source, size)["index"].tolist()]


@pytest.mark.parametrize("size", [1, 4, 5, 10, 23])
def test_each_epoch_is_a_permutation_whatever_the_batch_size(size: int, numbered: type) -> None:
    drawn = indices(batches(numbered(10), size), 60 // size + 1)
    epochs = [drawn[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    # The order is the samples', not the batches': another batch size cuts the same order elsewhere.
    assert drawn[:60] == indices(batches(numbered(10), 1), 60)


def test_the_order_depends_on_the_seed_and_on_nothing_else(numbered: type) -> None:
    first = indices(batches(numbered(10), 4), 5)
    torch.manual_seed(99)
    torch.rand(7)
    assert indices(batches(numbered(10), 4), 5) == first
    assert indices(batches(numbered(10), 4, seed=1), 5) != first


@pytest.mark.parametrize("resident", [True, False])
def test_a_resumed_stream_goes_on_as_if_it_had_never_stopped(resident: bool, numbered: type) -> None:
    whole = batches(numbered(10, resident=resident), 4)
    expected = indices(whole, 6)
    whole.close()
    first = batches(numbered(10, resident=resident), 4)
    assert indices(first, 2) == expected[:8]
    state = first.state()
    first.close()
    assert state == {"positions": [["", 4, 8]]}
    second = batches(numbered(10, resident=resident), 4)
    second.load(state)
    assert indices(second, 4) == expected[8:]
    second.close()


def test_each_source_and_size_has_a_position_of_its_own(numbered: type) -> None:
    alone = indices(batches(numbered(10), 2), 4)
    stream = batches(numbered(10), 2)
    mixed: list[int] = []
    for _ in range(4):
        mixed += stream.draw()["index"].tolist()
        assert len(stream.draw(size=3)["index"]) == 3
    assert mixed == alone
    assert sorted(stream.state()["positions"]) == [["", 2, 8], ["", 3, 12]]


def test_two_sources_are_independent(numbered: type) -> None:
    both = Sources({"a": numbered(10), "b": numbered(6)})
    stream = batches(both, 4)
    first = stream.draw()
    assert sorted(first) == ["a.images", "a.index", "a.labels", "b.images", "b.index", "b.labels"]
    assert first["a.images"].shape == first["b.images"].shape == (4, 1, 2, 2)
    drawn = {"a": first["a.index"].tolist(), "b": first["b.index"].tolist()}
    for _ in range(2):
        drawn["b"] += stream.draw("b")["index"].tolist()
    second = stream.draw()
    drawn = {name: drawn[name] + second[f"{name}.index"].tolist() for name in drawn}
    # b was drawn from twice more; a did not notice.
    again = batches(both, 4)
    assert drawn["a"] == indices(again, 2, "a")
    assert drawn["b"] == indices(again, 4, "b")
    same = batches(Sources({"a": numbered(10), "b": numbered(10)}), 10)
    one, other = same.draw("a")["index"].tolist(), same.draw("b")["index"].tolist()
    assert one != other
    with pytest.raises(KeyError, match="the dataset has no source 'c', only a, b"):
        stream.draw("c")


def test_workers_give_the_bits_that_memory_gives(mirrored: type) -> None:
    resident, fed = batches(mirrored(10), 4), batches(mirrored(10, resident=False), 4)
    for _ in range(6):
        one, other = resident.draw(), fed.draw()
        assert list(one) == list(other) == ["images", "labels", "index"]
        assert all(torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)
    fed.close()


def test_what_a_worker_cannot_read_is_one_line(numbered: type) -> None:
    fed = batches(numbered(10, resident=False, unreadable=7), 5)
    with pytest.raises(MissingData) as caught:
        indices(fed, 2)
    fed.close()
    assert str(caught.value) == "picture-7.png cannot be read; remove it or fetch it again"


def test_flips_depend_on_the_position_only(mirrored: type) -> None:
    stream = batches(mirrored(10), 10)
    epochs = [stream.draw() for _ in range(3)]
    again = batches(mirrored(10), 10)
    again.load({"positions": [["", 10, 20]]})
    assert torch.equal(again.draw()["images"], epochs[2]["images"])
    flipped = [
        dict(zip(batch["index"].tolist(), (batch["images"][:, 0, 0, 1] == 1).tolist(), strict=True)) for batch in epochs
    ]
    assert flipped[0] != flipped[1]
    assert 5 < sum(sum(epoch.values()) for epoch in flipped) < 25


def test_images_arrive_in_minus_one_to_one_and_labels_as_they_are(numbered: type) -> None:
    batch = batches(numbered(10), 10).draw()
    assert batch["images"].dtype == torch.float32
    assert (batch["images"][:, 0, 0, 0] == 1).all()
    expected = batch["index"].double() / 127.5 - 1
    assert (batch["images"][:, 0, 1, 1].double() - expected).abs().max() < 1e-7
    assert batch["labels"].tolist() == (batch["index"] % 3).tolist()


@pytest.mark.parametrize("resident", [True, False])
def test_the_first_samples_are_spread_over_the_dataset(resident: bool, numbered: type) -> None:
    stream = batches(numbered(10, resident=resident), 4)
    first = stream.first(3)
    assert first["index"].tolist() == [0, 3, 6]
    assert first["labels"].tolist() == [0, 0, 0]
    assert len(stream.first(64)["images"]) == 10
    assert stream.state() == {"positions": []}


def test_drawing_leaves_the_dataset_as_it_is() -> None:
    from ganvas import DataField

    class Whole(Dataset):
        fields = {"images": DataField((1, 1, 2), "float32", (0, 1))}
        fingerprint = "whole"
        images = torch.tensor([0.0, 1.0, 0.25, 0.5]).view(2, 1, 1, 2)

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"images": self.images[index]}

        def tensors(self) -> dict[str, torch.Tensor]:
            return {"images": self.images}

    dataset = Whole()
    stream = batches(dataset, 2)
    for _ in range(2):
        assert stream.first(2)["images"].flatten().tolist() == [-1, 1, -0.5, 0]
        stream.draw()
        (whole,) = Data(dataset).batches()
        assert whole["images"].flatten().tolist() == [-1, 1, -0.5, 0]


def test_an_empty_dataset_is_told(numbered: type) -> None:
    with pytest.raises(MissingData, match=r"^the dataset is empty$"):
        batches(numbered(0), 4)
    with pytest.raises(MissingData, match=r"^the dataset 'b' is empty$"):
        batches(Sources({"a": numbered(3), "b": numbered(0)}), 4)
