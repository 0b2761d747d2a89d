from __future__ import annotations

import re
from pathlib import Path

import pytest

from ganvas.registry.cache import cache_folder
from ganvas.registry.failures import forget_failure, keep_failure, last_failure


def test_the_last_failure_is_kept_until_it_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    assert last_failure("mine", "here") is None
    for message in ("first", "second"):
        try:
            raise RuntimeError(message)
        except RuntimeError as error:
            keep_failure("mine", "here", "ganvas_scalars of mine", error)
    said, trace = last_failure("mine", "here") or ("", "")
    assert re.fullmatch(r"ganvas_scalars of mine failed, last on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said)
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("RuntimeError: second\n")
    assert last_failure("mine", "elsewhere") is None  # another file of that name
    assert last_failure("other", "here") is None
    forget_failure("mine", "here")
    forget_failure("mine", "here")
    assert last_failure("mine", "here") is None
    assert list((cache_folder() / "failed-plugins").iterdir()) == []


def test_a_name_that_is_no_file_name_and_a_file_that_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    keep_failure("../a/b c", "here", "it", ValueError("x"))
    (file,) = (tmp_path / "failed-plugins").iterdir()
    assert last_failure("../a/b c", "here") is not None
    file.write_text("{")
    assert last_failure("../a/b c", "here") is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "file"))
    keep_failure("mine", "here", "it", ValueError("x"))
    assert last_failure("mine", "here") is None
    forget_failure("mine", "here")
