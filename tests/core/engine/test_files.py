"""Files that are whole at any instant; what a full disk does to them stands in test_states."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganvas.engine.files import write_atomically


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told = tmp_path / "record.json", []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (told.append("flush"), fsync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (told.append("rename"), replace(*names))[1])
    write_atomically(path, b"{}")
    assert told == ["flush", "rename", "flush"]  # the file, its name, the folder that knows the name
    assert path.read_bytes() == b"{}"
