import logging
from pathlib import Path

import pytest

from ganvas.registry.cache import cache_folder, write_cached


def test_the_folder_is_the_users_unless_the_environment_names_one(monkeypatch, tmp_path):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("GANVAS_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "ganvas"


def test_a_file_is_replaced_whole_and_nothing_else_stays_behind(tmp_path):
    path = tmp_path / "deep" / "file"
    write_cached(path, b"one")
    write_cached(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_cache_that_cannot_be_written_is_told_of_but_no_error(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.INFO, "ganvas"):
        write_cached(tmp_path / "file" / "below", b"one")
    assert "is not cached" in caplog.text


@pytest.mark.parametrize("content", [b"", b"x" * 100_000])
def test_any_content_is_kept_as_it_is(tmp_path, content):
    write_cached(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content
