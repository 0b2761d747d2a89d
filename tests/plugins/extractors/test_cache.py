"""What metrics keep between runs."""

import pytest
import torch

from ganvas_plugins.extractors.cache import cached


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"values": torch.arange(6.0).view(2, 3).T, "number": torch.tensor(self.calls)}


def test_made_once_and_read_back(folder):
    make = Maker()
    first, second = (cached("things", {"a": [1, 2]}, make) for _ in range(2))
    assert make.calls == 1
    for name in first:
        assert torch.equal(first[name], second[name])
    assert [path.suffix for path in folder.iterdir()] == [".safetensors"]  # nothing half written is left


def test_another_key_is_another_thing():
    make = Maker()
    for key in ({"a": 1}, {"a": 2}, {"b": 1}):
        cached("things", key, make)
    assert make.calls == 3
    cached("things", {"a": 1}, make)
    assert make.calls == 3


def test_a_damaged_file_is_made_anew(folder, caplog):
    make = Maker()
    cached("things", {}, make)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    assert cached("things", {}, make)["number"] == 2
    assert "damaged" in caplog.text
    assert cached("things", {}, make)["number"] == 2
    assert make.calls == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "file" / "below"))
    make = Maker()
    assert cached("things", {}, make)["number"] == 1
    assert cached("things", {}, make)["number"] == 2
