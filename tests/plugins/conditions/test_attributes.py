import pytest
import torch

from ganvas import Data, DataField, Segment
from ganvas.kinds.data import Dataset
from ganvas_plugins.conditions import attributes
from ganvas_plugins.conditions.attributes import Attributes
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


def test_attributes_are_sampled_as_whole_rows():
    data = Data(Rows())
    condition = Attributes(data)
    condition.prepare(data, rng())
    drawn = condition.sample(9000, rng(1))
    assert {tuple(row) for row in drawn.int().tolist()} == {(1, 1, 0), (0, 0, 1)}
    assert drawn[:, 0].mean().item() == pytest.approx(1 / 3, abs=0.02)
    assert condition.segments == [Segment("binary", 3)]
    assert (condition.shape, condition.needs, condition.names) == ((3,), {"attributes"}, ["a", "b", "c"])
    assert torch.equal(
        condition.of({"attributes": torch.tensor([[1, 0, 1]], dtype=torch.uint8)}), torch.tensor([[1.0, 0, 1]])
    )


def test_the_rows_are_drawn_without_reading_images(tmp_path, miniatures):
    written = miniatures.write_celeba(tmp_path)
    (tmp_path / "img_align_celeba" / "000001.jpg").write_bytes(b"unreadable")
    data = Data(CelebA(root=tmp_path, attributes=CHOSEN, split="all", in_memory=False))
    condition = Attributes(data)
    condition.prepare(data, rng())
    columns = [miniatures.ATTRIBUTES.split().index(name) for name in CHOSEN]
    assert sorted(condition.rows[:12].tolist()) == sorted(written["attributes"][:, columns].tolist())
    assert condition.filled == 12


def test_more_rows_than_are_kept_are_drawn_once_and_saved(monkeypatch):
    monkeypatch.setattr(attributes, "ROWS", 5)
    data = Data(Rows())
    condition, other = Attributes(data), Attributes(data)
    condition.prepare(data, rng())
    assert condition.filled == 5
    other.load_state_dict(condition.state_dict())
    assert torch.equal(other.sample(100, rng(2)), condition.sample(100, rng(2)))


def test_data_without_attributes_are_refused(tmp_path, miniatures):
    with pytest.raises(ValueError) as caught:
        Attributes(Data(Digits()))
    assert str(caught.value) == "the data have no attributes, only labels; use the condition labels"
    miniatures.write_flat_folder(tmp_path, number=2)
    with pytest.raises(ValueError) as caught:
        Attributes(Data(ImageFolder(root=tmp_path)))
    assert str(caught.value) == "the data have neither labels nor attributes; use the condition clusters, or none"


def test_it_can_be_built_on_the_meta_device():
    with torch.device("meta"):
        assert Attributes(Data(Rows())).rows.is_meta


def test_parse_takes_names_and_numbers():
    rows = Attributes(Data(Rows()))
    assert rows.parse(["c", "a"]).tolist() == rows.parse([1, 0, 1]).tolist() == [1, 0, 1]
    assert rows.parse("b").tolist() == [0, 1, 0]
    assert rows.parse([]).tolist() == [0, 0, 0]
    for bad in ([1, 0], [1, 0, 2], 1, ["a", 1]):
        with pytest.raises(ValueError, match="3 numbers 0 or 1"):
            rows.parse(bad)
    with pytest.raises(ValueError, match="no attribute is called 'd'"):
        rows.parse(["d"])
