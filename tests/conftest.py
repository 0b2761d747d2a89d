"""Fixtures for all tests: a cache folder of the session's own, and miniatures of real data sets."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # a process for each core: threads of their own would only be in one another's way
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Keeps the tests out of the user's cache, unless ``GANVAS_CACHE`` names one."""
    with pytest.MonkeyPatch.context() as patch:
        if "GANVAS_CACHE" not in os.environ:
            patch.setenv("GANVAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def plain_portraits():
    """The first features instead of t-SNE, which takes seconds, in the portraits of all encoders that tests train."""

    def first(features, seed, *, dimensions=2, perplexity=30.0):
        return features[:, :dimensions]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganvas_plugins.embedding.tsne", first)
        yield


ACME = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-gans"
version = "1.2.3"

[project.entry-points.ganvas]
acme = "acme_gans"
acme-broken = "acme_gans.broken"

[tool.hatch.build.targets.wheel]
packages = ["acme_gans", "acme_aside"]
""",
    "acme_gans/__init__.py": """\
from ganvas import hookimpl


@hookimpl
def ganvas_components():
    return {"loss": {"slope": "acme_gans.losses:Slope", "hinge": "acme_gans.losses:Hinge"}}
""",
    "acme_gans/broken.py": "import nothing_of_this_name\n",
    "acme_gans/losses.py": """\
from typing import Annotated

from pydantic import Field

from ganvas import Loss


class Slope(Loss):
    \"\"\"The mean difference of the scores.\"\"\"

    def __init__(self, *, factor: Annotated[float, Field(gt=0, description="of the terms")] = 1.0):
        super().__init__()
        self.factor = factor

    def discriminator(self, real, fake):
        return self.factor * (fake.scores.mean() - real.scores.mean())

    def generator(self, fake, real):
        return -self.factor * fake.scores.mean()


class Hinge(Slope):
    \"\"\"A name that others have too.\"\"\"
""",
    "acme_aside/__init__.py": """\
from acme_gans.losses import Slope
from ganvas import hookimpl


@hookimpl
def ganvas_components():
    return {"loss": {"aside": Slope}}
""",
}


@pytest.fixture(scope="session")
def acme_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the distribution ``acme-gans`` 1.2.3 into: two entry points, one of them broken."""
    if importlib.util.find_spec("pip") is None or importlib.util.find_spec("hatchling") is None:
        pytest.skip("pip and hatchling build the distribution; the test extra installs them")
    source, target = tmp_path_factory.mktemp("acme"), tmp_path_factory.mktemp("installed")
    for name, text in ACME.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)
    return target


@pytest.fixture
def acme(acme_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``acme-gans`` is installed while the test runs; gives the folder."""
    monkeypatch.syspath_prepend(acme_folder)
    importlib.invalidate_caches()
    yield acme_folder
    for name in [name for name in sys.modules if name.partition(".")[0] in ("acme_gans", "acme_aside")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def miniatures() -> ModuleType:
    """``miniatures.py``: functions that write small data sets in their real on-disk formats."""
    spec = importlib.util.spec_from_file_location("miniatures", Path(__file__).parent / "miniatures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
