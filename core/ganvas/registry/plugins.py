"""Where components come from: entry points, ``registry.yaml`` and ``register``, all through one hook.

A plugin that fails is kept with its traceback and warned of once; it is an error only for a spec that needs it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from ganvas.kinds import KINDS
from ganvas.registry import hooks
from ganvas.registry.catalogue import find_catalogue, read_catalogue
from ganvas.registry.documents import did_you_mean

__all__ = ["BrokenComponent", "Entry", "Host", "PluginRecord", "register", "unregister"]

log = logging.getLogger("ganvas")


class BrokenComponent(Exception):
    """A component that cannot be used: not found, not importable, or against its kind's contract."""


@dataclass(frozen=True)
class Entry:
    """One name of one kind, as some plugin declares it."""

    kind: str
    name: str
    target: str | type
    plugin: str

    @property
    def source(self) -> str:
        """``module:attribute``, or ``file.py:attribute``."""
        return self.target if isinstance(self.target, str) else f"{self.target.__module__}:{self.target.__qualname__}"


@dataclass
class PluginRecord:
    """What ``ganvas plugins`` tells about a plugin."""

    name: str
    origin: str
    version: str | None = None
    status: Literal["loaded", "blocked", "broken"] = "loaded"
    error: str | None = None
    components: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "origin": self.origin,
            "version": self.version,
            "status": self.status,
            "error": self.error,
            "components": self.components,
        }


_registered: dict[str, Any] = {}
_warned: set[str] = set()
_files: dict[tuple[str, int], ModuleType] = {}


def register(module: Any, name: str | None = None) -> None:
    """Adds a plugin from Python: a module or an object with hook implementations, for every spec from now on."""
    _registered[name or getattr(module, "__name__", type(module).__name__)] = module


def unregister(name: str) -> None:
    """Takes back what ``register`` added."""
    _registered.pop(name, None)


class Host:
    """The plugins and the table of components they declare.

    Args:
        near: the nearest ``registry.yaml`` from this folder upwards is laid over the installed plugins.
        installed: load installed plugins and registered ones; False gives a host with no plugin at all.
    """

    def __init__(self, near: Path | None = None, *, installed: bool = True) -> None:
        self.manager = pluggy.PluginManager("ganvas")
        self.manager.add_hookspecs(hooks)
        self.plugins: list[PluginRecord] = []
        self.catalogue_file = find_catalogue(near) if near is not None else None
        catalogue = read_catalogue(self.catalogue_file) if self.catalogue_file else None
        self._blocked = set(catalogue.blocked) if catalogue else set()
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        if installed:
            for point in sorted(entry_points(group="ganvas"), key=lambda p: p.name):
                self._load_entry_point(point)
            for name, module in _registered.items():
                self._add(PluginRecord(name, "registered"), lambda module=module: module)
        for target in catalogue.plugins if catalogue else ():
            name = Path(target).stem if target.endswith(".py") else target
            self._add(PluginRecord(name, str(self.catalogue_file)), lambda target=target: import_target(target))
        if catalogue and catalogue.components:
            self._declare_catalogue(catalogue.components)

    # -- loading ---------------------------------------------------------------------------------------------------

    def _load_entry_point(self, point: EntryPoint) -> None:
        distribution = point.dist
        record = PluginRecord(point.name, f"entry point {point.value}", distribution.version if distribution else None)
        self._add(record, point.load)

    def _add(self, record: PluginRecord, load: Any) -> None:
        self.plugins.append(record)
        if record.name in self._blocked or not _allowed(record.name):
            record.status = "blocked"
            return
        try:
            if self.manager.has_plugin(record.name):
                raise BrokenComponent(f"two plugins are called {record.name!r}")
            plugin = load()
            self.manager.register(plugin, record.name)
            self.manager.check_pending()
            implementation = getattr(plugin, "ganvas_components", None)
            self._declare(record, (implementation() if implementation is not None else None) or {})
        except Exception:
            if self.manager.has_plugin(record.name):
                self.manager.unregister(name=record.name)
            record.status = "broken"
            record.error = traceback.format_exc()
            if record.name not in _warned:
                _warned.add(record.name)
                reason = record.error.strip().splitlines()[-1]
                log.warning("the plugin %r could not be loaded (%s); `ganvas plugins` shows why", record.name, reason)

    def _declare(self, record: PluginRecord, components: Mapping[str, Mapping[str, Any]]) -> None:
        for kind, names in components.items():
            if kind not in KINDS:
                raise BrokenComponent(f"there is no kind {kind!r}{did_you_mean(kind, list(KINDS))}")
            for name, target in names.items():
                if f"{kind}/{name}" in self._blocked:
                    continue
                entry = Entry(kind, name, target, record.name)
                owners = self._entries.setdefault((kind, name), [])
                if all(owner.target != target for owner in owners):
                    owners.append(entry)
                    record.components.append(f"{kind}/{name}")

    def _declare_catalogue(self, components: Mapping[str, Mapping[str, str]]) -> None:
        """Components that a ``registry.yaml`` names itself, with no hook: one plugin per file or module."""
        for kind, names in components.items():
            for name, target in names.items():
                known = self._entries.get((kind, name), [])
                if any(owner.target == target for owner in known):
                    continue  # the bundled catalogue, met again because the spec lies beside it
                home = target.partition(":")[0]
                plugin = Path(home).stem if home.endswith(".py") else home.partition(".")[0]
                record = next((r for r in self.plugins if r.name == plugin and r.origin == home), None)
                if record is None:
                    record = PluginRecord(plugin, home)
                    self.plugins.append(record)
                self._declare(record, {kind: {name: target}})

    # -- looking up ------------------------------------------------------------------------------------------------

    def names(self, kind: str) -> list[str]:
        return sorted(name for (k, name) in self._entries if k == kind)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Every component, in the order of kinds, then names."""
        order = list(KINDS)
        found = [entry for owners in self._entries.values() for entry in owners if kind in (None, entry.kind)]
        return sorted(found, key=lambda entry: (order.index(entry.kind), entry.name, entry.plugin))

    def find(self, kind: str, name: str) -> Entry:
        """The entry of ``name`` or ``plugin/name``. Raises ``BrokenComponent`` with what to do."""
        plugin, slash, short = name.rpartition("/")
        owners = self._entries.get((kind, short), [])
        if slash:
            for entry in owners:
                if entry.plugin == plugin:
                    return entry
            raise BrokenComponent(self._unknown(kind, name, [f"{e.plugin}/{e.name}" for e in self.entries(kind)]))
        if not owners:
            raise BrokenComponent(self._unknown(kind, name, self.names(kind)))
        if len(owners) > 1:
            choices = " or ".join(f"{owner.plugin}/{name}" for owner in owners)
            sources = " and ".join(f"{owner.plugin} ({owner.source})" for owner in owners)
            raise BrokenComponent(f"two plugins offer the {kind} {name!r}: {sources}; write {choices}")
        return owners[0]

    def _unknown(self, kind: str, name: str, known: list[str]) -> str:
        message = f"no {kind} is called {name!r}{did_you_mean(name, known)}"
        broken = [record.name for record in self.plugins if record.status == "broken"]
        if broken:
            message += f" (not loaded: {', '.join(broken)}; see `ganvas plugins`)"
        for other in KINDS:
            if other != kind and (other, name) in self._entries:
                message += f" ({name!r} is a {other})"
                break
        return message

    def resolve(self, entry: Entry) -> type:
        """The component's class, imported. Raises ``BrokenComponent``."""
        found = entry.target
        if isinstance(found, str):
            home, _, attribute = found.partition(":")
            owner = f"the {entry.kind} {entry.name!r} of {entry.plugin}"
            try:
                module = import_target(home)
            except Exception as error:
                raise BrokenComponent(f"{owner}: {home} cannot be imported: {_said(error)}") from error
            if not hasattr(module, attribute):
                raise BrokenComponent(f"{owner}: {home} has no attribute {attribute!r}")
            found = getattr(module, attribute)
        contract = contract_of(entry.kind)
        if not (isinstance(found, type) and issubclass(found, contract)):
            raise BrokenComponent(
                f"the {entry.kind} {entry.name!r} of {entry.plugin} ({entry.source}) is not a {contract.__name__}: "
                f"derive the class from ganvas.{contract.__name__}"
            )
        return found

    def summary(self, entry: Entry) -> str:
        """First line of the component's docstring, read from its source without importing it."""
        if not isinstance(entry.target, str):
            return (inspect.getdoc(entry.target) or "").partition("\n")[0]
        home, _, attribute = entry.target.partition(":")
        try:
            file = Path(home) if home.endswith(".py") else source_file(home)
            tree = ast.parse(file.read_text(encoding="utf-8")) if file else ast.Module([], [])
        except (OSError, SyntaxError, ImportError, ValueError):
            return ""
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""


def _allowed(name: str) -> bool:
    """Whether ``GANVAS_PLUGINS`` lets a plugin load: unset all, ``off`` none but the bundled, else a comma list."""
    chosen = os.environ.get("GANVAS_PLUGINS")
    if chosen is None or name == "ganvas":
        return True
    return chosen != "off" and name in [word.strip() for word in chosen.split(",")]


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def contract_of(kind: str) -> type:
    """The base class of a kind."""
    module, _, attribute = KINDS[kind].contract.partition(":")
    return getattr(importlib.import_module(module), attribute)


def kind_of(contract: type) -> str | None:
    """The kind that a class is a contract of, or derives from."""
    declared = {kind.contract: kind.name for kind in KINDS.values()}
    for base in getattr(contract, "__mro__", ()):
        if (name := declared.get(f"{base.__module__}:{base.__qualname__}")) is not None:
            return name
    return None


def source_file(module: str) -> Path | None:
    """The file of a module, without importing it (its parent packages are imported)."""
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def import_target(home: str) -> ModuleType:
    """Imports a module by name, or a file by path; a file that has changed since is imported anew."""
    if not home.endswith(".py"):
        return importlib.import_module(home)
    path = Path(home)
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    key = (str(path), path.stat().st_mtime_ns)
    if key not in _files:
        name = f"ganvas_file_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        _files[key] = module
    return _files[key]
