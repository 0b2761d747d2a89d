import pytest
import torch

from ganvas import Data, DataField, Segment
from ganvas.kinds.data import Dataset
from ganvas_plugins.conditions import labels
from ganvas_plugins.conditions.labels import Labels
from ganvas_plugins.datasets.celeba import CelebA
from ganvas_plugins.datasets.digits import Digits
from ganvas_plugins.datasets.image_folder import ImageFolder

CHOSEN = ["Bald", "Smiling", "Young"]


class Rows(Dataset):
    """Attributes only, read one by one: a is b, never c."""

    attributes = ("a", "b", "c")
    fields = {"images": DataField((1, 1, 1)), "attributes": DataField((3,), "uint8", (0, 1))}
    fingerprint = "rows"

    def __len__(self):
        return 30

    def __getitem__(self, index):
        on = index % 3 == 0
        row = torch.tensor([on, on, not on], dtype=torch.uint8)
        return {"images": torch.zeros(1, 1, 1, dtype=torch.uint8), "attributes": row}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_labels_are_one_hot():
    condition = Labels(Data(Digits()))
    assert condition.shape == (10,)
    assert condition.needs == {"labels"}
    assert condition.names == list("0123456789")
    assert condition.segments == [Segment("one-hot", 10)]
    given = condition.of({"labels": torch.tensor([3, 0])})
    assert given.tolist() == [[0, 0, 0, 1, *[0] * 6], [1, *[0] * 9]]
    assert given.dtype == torch.float32


def test_classes_are_sampled_uniformly():
    drawn = Labels(Data(Digits())).sample(20_000, rng())
    assert (drawn.sum(1) == 1).all()
    counts = drawn.sum(0)
    # chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand times
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9
    assert torch.equal(drawn, Labels(Data(Digits())).sample(20_000, rng()))


def test_attributes_are_sampled_as_whole_rows():
    data = Data(Rows())
    condition = Labels(data)
    condition.prepare(data, rng())
    drawn = condition.sample(9000, rng(1))
    assert {tuple(row) for row in drawn.int().tolist()} == {(1, 1, 0), (0, 0, 1)}
    assert drawn[:, 0].mean().item() == pytest.approx(1 / 3, abs=0.02)
    assert condition.segments == [Segment("binary", 3)]
    assert torch.equal(
        condition.of({"attributes": torch.tensor([[1, 0, 1]], dtype=torch.uint8)}), torch.tensor([[1.0, 0, 1]])
    )


def test_the_rows_are_drawn_without_reading_images(tmp_path, miniatures):
    written = miniatures.write_celeba(tmp_path)
    (tmp_path / "img_align_celeba" / "000001.jpg").write_bytes(b"unreadable")
    data = Data(CelebA(root=tmp_path, attributes=CHOSEN, split="all", in_memory=False))
    condition = Labels(data)
    condition.prepare(data, rng())
    columns = [miniatures.ATTRIBUTES.split().index(name) for name in CHOSEN]
    assert sorted(condition.rows[:12].tolist()) == sorted(written["attributes"][:, columns].tolist())
    assert condition.filled == 12


def test_more_rows_than_are_kept_are_drawn_once_and_saved(monkeypatch):
    monkeypatch.setattr(labels, "ROWS", 5)
    data = Data(Rows())
    condition, other = Labels(data), Labels(data)
    condition.prepare(data, rng())
    assert condition.filled == 5
    other.load_state_dict(condition.state_dict())
    assert torch.equal(other.sample(100, rng(2)), condition.sample(100, rng(2)))


def test_the_field_can_be_chosen_and_has_to_be_there(tmp_path, miniatures):
    data = Data(Rows())
    assert Labels(data, field="attributes").needs == {"attributes"}
    with pytest.raises(ValueError, match="have no labels, only attributes"):
        Labels(data, field="labels")
    miniatures.write_flat_folder(tmp_path, number=2)
    with pytest.raises(ValueError, match="use the condition clusters, or none"):
        Labels(Data(ImageFolder(root=tmp_path)))


def test_it_can_be_built_on_the_meta_device():
    with torch.device("meta"):
        assert Labels(Data(Rows())).rows.is_meta


def test_parse_takes_numbers_and_names():
    digits, rows = Labels(Data(Digits())), Labels(Data(Rows()))
    assert digits.parse(3).argmax() == digits.parse("3").argmax() == 3
    assert digits.parse(3).shape == (10,)
    assert rows.parse(["c", "a"]).tolist() == rows.parse([1, 0, 1]).tolist() == [1, 0, 1]
    assert rows.parse("b").tolist() == [0, 1, 0]
    assert rows.parse([]).tolist() == [0, 0, 0]
    for bad in ([1, 0], [1, 0, 2], 1, ["a", 1]):
        with pytest.raises(ValueError, match="3 numbers 0 or 1"):
            rows.parse(bad)
    with pytest.raises(ValueError, match="no attribute is called 'd'"):
        rows.parse(["d"])
