"""Fixtures for all tests: a cache folder of the session's own, and miniatures of real data sets."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Keeps the tests out of the user's cache, unless ``GANVAS_CACHE`` names one."""
    with pytest.MonkeyPatch.context() as patch:
        if "GANVAS_CACHE" not in os.environ:
            patch.setenv("GANVAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def plain_portraits():
    """Two features instead of t-SNE, which takes seconds, in the portraits of all encoders that tests train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganvas_plugins.embedding.tsne", lambda features, seed: features[:, :2])
        yield


@pytest.fixture(scope="session")
def miniatures() -> ModuleType:
    """``miniatures.py``: functions that write small data sets in their real on-disk formats."""
    spec = importlib.util.spec_from_file_location("miniatures", Path(__file__).parent / "miniatures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
