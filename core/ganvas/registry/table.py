"""What ``ganvas list`` and ``ganvas.components`` tell: every component, its options, where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganvas.registry.documents import did_you_mean
from ganvas.registry.plugins import Entry, Host
from ganvas.registry.signature import options_of

__all__ = ["components", "describe"]


def describe(host: Host, entry: Entry) -> dict[str, Any]:
    """One component: kind, name as a spec writes it, summary, source, plugin, options. Imports it."""
    options = options_of(host.resolve(entry))
    return {
        "kind": entry.kind,
        "name": host.name_of(entry),
        "summary": host.summary(entry),
        "source": entry.source,
        "plugin": entry.plugin,
        "options": [option.json() for option in options.values()],
    }


def components(kind: str | None = None, near: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """Name -> kind, name, summary, source, plugin, options, of one kind; of all kinds as ``kind/name``.

    What is broken is left out with a warning; a name that several plugins have stands there as ``plugin/name``.

    Args:
        near: whose nearest ``registry.yaml`` counts; the working folder's by default.

    Raises:
        ValueError: for a kind there is not.
    """
    from ganvas.kinds import KINDS

    if kind is not None and kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}{did_you_mean(kind, list(KINDS))}")
    host = Host(Path(near) if near is not None else Path.cwd())
    described = [describe(host, entry) for entry in host.usable(kind)]
    return {found["name"] if kind is not None else f"{found['kind']}/{found['name']}": found for found in described}
