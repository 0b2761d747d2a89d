"""The bundled components, registered through the same hook as anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ganvas.registry.hooks import hookimpl


def catalogue_file() -> Path:
    """``registry.yaml``: inside the package in a wheel, at the repository's root in a checkout."""
    packaged = Path(__file__).parent / "registry.yaml"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "registry.yaml"


@hookimpl
def ganvas_components() -> Mapping[str, Mapping[str, str]]:
    from ganvas.registry.catalogue import read_components

    return read_components(catalogue_file())
