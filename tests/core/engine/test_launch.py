"""Which of several processes this one is."""

from __future__ import annotations

import pytest

from ganvas.engine.launch import launch


def test_torchrun_says_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name in (*told, *place):
        monkeypatch.delenv(name, raising=False)

    assert launch() == (0, 1, 0, 1)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert launch() == (0, 1, 0, 1)  # a scheduler says as much without having started several
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    assert launch() == (5, 8, 1, 4)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch() == (0, 1, 0, 1)
