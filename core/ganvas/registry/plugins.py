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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

from ganvas.kinds import KINDS
from ganvas.registry import hooks
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.catalogue import find_catalogue, read_catalogue
from ganvas.registry.documents import did_you_mean, with_article
from ganvas.registry.failures import last_failure
from ganvas.registry.hooks import implementations, where

__all__ = ["BUNDLED", "Entry", "Host", "PluginRecord", "register", "unregister"]

log = logging.getLogger("ganvas")


@dataclass(frozen=True)
class Entry:
    """One name of one kind, as some plugin declares it.

    Attributes:
        target: a class, or ``"module:attribute"``, or ``"/absolute/file.py:attribute"``.
    """

    kind: str
    name: str
    target: Any
    plugin: str

    @property
    def label(self) -> str:
        """``kind/name``."""
        return f"{self.kind}/{self.name}"

    @property
    def source(self) -> str:
        """``module:attribute``, or ``file.py:attribute``."""
        if isinstance(self.target, str):
            return self.target
        module = getattr(self.target, "__module__", "?")
        home = sys.modules[module].__file__ if module.startswith(_FILE_MODULE) else module
        return f"{home}:{getattr(self.target, '__qualname__', self.target)}"


@dataclass
class PluginRecord:
    """What ``ganvas plugins`` tells about a plugin.

    Attributes:
        components: those that are not known to be broken, as ``kind/name``.
        offered: how many it registers.
        faults: what is wrong: ``kind/name`` of a component or nothing, one line, the traceback or nothing.
    """

    name: str
    origin: str
    version: str | None = None
    status: Literal["loaded", "blocked", "broken"] = "loaded"
    components: list[str] = field(default_factory=list)
    offered: int = 0
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    warned: int = 0

    def fault(self, label: str, said: str, trace: str = "") -> None:
        """Notes what is wrong with the plugin or one of its components."""
        self.status = "broken"
        self.faults.append((label, f"{label}: {said}" if label else said, trace))
        if label in self.components:
            self.components.remove(label)

    def warn(self) -> None:
        """One warning for all that was noted since the last one."""
        new, self.warned = self.faults[self.warned :], len(self.faults)
        if new:
            _, said, trace = new[0]
            more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
            see = "`ganvas plugins` shows the traceback" if trace else "see `ganvas plugins`"
            _warn_once(f"the plugin {self.name!r} is broken: {said}{more}; {see}")

    @property
    def error(self) -> str | None:
        lines: list[str] = []
        for _, said, trace in self.faults:
            lines.append(said)
            if trace and trace not in lines:  # what is imported from one file fails alike
                lines.append(trace)
        return "\n".join(line.rstrip() for line in lines) or None

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "origin": self.origin,
            "version": self.version,
            "status": self.status,
            "error": self.error,
            "components": self.components,
        }


BUNDLED = "ganvas"  # the name of the plugin with the components that come along
_FILE_MODULE = "ganvas_file_"
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
        self._written = catalogue.written if catalogue else {}
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        self._broken: set[Entry] = set()
        if installed:
            for point in sorted(entry_points(group="ganvas"), key=lambda p: p.name):
                version = point.dist.version if point.dist else None
                self._add(PluginRecord(point.name, f"entry point {point.value}", version), point.load, point.module)
            for name, module in _registered.items():
                self._add(PluginRecord(name, "registered"), lambda module=module: module, name)
        for target in catalogue.plugins if catalogue else ():
            name = Path(target).stem if target.endswith(".py") else target
            origin = str(self.catalogue_file)
            self._add(PluginRecord(name, origin), lambda target=target: import_target(target), target)
        if catalogue and catalogue.components:
            self._declare_catalogue(catalogue.components)
        for line in self.clashes():
            _warn_once(line)

    # -- loading ---------------------------------------------------------------------------------------------------

    def _add(self, record: PluginRecord, load: Callable[[], Any], home: str) -> None:
        """Loads a plugin out of the module or file ``home`` and declares its components; what fails is its fault."""
        self.plugins.append(record)
        if self._keep_out(record):
            return
        try:
            if self.manager.has_plugin(record.name):
                raise BrokenComponent(f"two plugins are called {record.name!r}, and the first one counts; rename one")
            plugin = load()
            found, mistakes = implementations(plugin)
            for mistake in mistakes:
                record.fault("", mistake)
            if not found and not mistakes:
                raise BrokenComponent(f"{where(plugin)}: {_NO_HOOK}")
            if (hook := found.get("ganvas_components")) is not None:
                self._declare(record, hook(), where(hook))
            if not mistakes and not self.manager.is_registered(plugin):  # a registry.yaml may name what is installed
                self.manager.register(plugin, record.name)
        except (Exception, SystemExit) as error:
            record.fault("", *_told(error, home))
        record.warn()

    def _keep_out(self, record: PluginRecord) -> bool:
        if record.name in self._blocked or not _allowed(record.name):
            record.status = "blocked"
        return record.status == "blocked"

    def _declare(self, record: PluginRecord, components: Any, place: str = "") -> None:
        """Enters kind -> name -> target, declared at a place, in the table."""
        if not isinstance(components, Mapping) or not all(isinstance(names, Mapping) for names in components.values()):
            raise BrokenComponent(
                f"{place}: ganvas_components returns {components!r}, which maps no kind to names; "
                'return {"loss": {"mine": Mine}}'
            )
        for kind, names in components.items():
            if kind not in KINDS:
                record.offered += len(names)
                record.fault("", f"{place}: there is no kind {kind!r}{did_you_mean(kind, list(KINDS))}")
                continue
            for name, target in names.items():
                if (said := _no_entry(kind, name, target)) is not None:
                    record.offered += 1
                    record.fault("", f"{place}: {said}")
                    continue
                entry = Entry(kind, name, target, record.name)
                owners = self._entries.setdefault((kind, name), [])
                if entry.label in self._blocked or any(owner.target == target for owner in owners):
                    continue
                owners.append(entry)
                record.offered += 1
                record.components.append(entry.label)
                if not isinstance(target, str):  # what is named by a text is imported and checked when it is used
                    self._usable(entry)

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
                if not self._keep_out(record):
                    self._declare(record, {kind: {name: target}})

    # -- looking up ------------------------------------------------------------------------------------------------

    def names(self, kind: str) -> list[str]:
        return sorted({entry.name for entry in self.entries(kind)})

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Every component that is not known to be broken, in the order of kinds, then names."""
        order = list(KINDS)
        found = [e for k, name in self._entries if kind in (None, k) for e in self._owners(k, name)]
        return sorted(found, key=lambda entry: (order.index(entry.kind), entry.name, entry.plugin))

    def _owners(self, kind: str, name: str) -> list[Entry]:
        return [entry for entry in self._entries.get((kind, name), []) if entry not in self._broken]

    def name_of(self, entry: Entry) -> str:
        """What a spec writes to mean this component: its name, or ``plugin/name`` where others have the same name."""
        return f"{entry.plugin}/{entry.name}" if len(self._owners(entry.kind, entry.name)) > 1 else entry.name

    def clashes(self) -> list[str]:
        """A line for each name that several plugins have: who they are, and what to write."""
        every = [self._owners(kind, name) for kind, name in self._entries]
        return [_several(owners) for owners in every if len(owners) > 1]

    def record_of(self, entry: Entry) -> PluginRecord:
        """The plugin of a component that is not known to be broken."""
        return next(r for r in self.plugins if r.name == entry.plugin and entry.label in r.components)

    def home_of(self, entry: Entry) -> str:
        """The file of a component as the ``registry.yaml`` writes it, or its module."""
        home = entry.source.rpartition(":")[0]
        return self._written.get(home, home)

    def find(self, kind: str, name: str) -> Entry:
        """The entry of ``name`` or ``plugin/name``. Raises ``BrokenComponent`` with what to do."""
        plugin, slash, short = name.rpartition("/")
        every = self._entries.get((kind, short), [])
        if slash:
            for entry in every:
                if entry.plugin == plugin:
                    return entry
            raise BrokenComponent(self._unknown(kind, name, [f"{e.plugin}/{e.name}" for e in self.entries(kind)]))
        if not every:
            raise BrokenComponent(self._unknown(kind, name, self.names(kind)))
        # A broken component takes nobody's name away: where several have it, those that work count.
        owners = every if len(every) == 1 else [entry for entry in every if self._usable(entry)] or every
        if len(owners) > 1:
            raise BrokenComponent(_several(owners))
        return owners[0]

    def default(self, kind: str, name: str, plugin: str) -> str:
        """What the default ``name`` of a plugin's component means where several plugins have it: that plugin's own."""
        owners = {entry.plugin for entry in self._owners(kind, name)}
        if len(owners) > 1:
            for preferred in (plugin, BUNDLED):
                if preferred in owners:
                    return f"{preferred}/{name}"
        return name

    def _unknown(self, kind: str, name: str, known: list[str]) -> str:
        message = f"no {kind} is called {name!r}{did_you_mean(name, known)}"
        broken = [record.name for record in self.plugins if record.status == "broken"]
        if broken:
            message += f" (broken: {', '.join(broken)}; see `ganvas plugins`)"
        for other in KINDS:
            if other != kind and (other, name) in self._entries:
                message += f" ({name!r} is {with_article(other)})"
                break
        return message

    def resolve(self, entry: Entry) -> type:
        """The component's class, imported and checked against its kind. Raises ``BrokenComponent``."""
        try:
            return self._class_of(entry)
        except BrokenComponent as error:
            owner = f"the {entry.kind} {entry.name!r} of {entry.plugin}"
            raise BrokenComponent(*(f"{owner}: {mistake}" for mistake in error.mistakes)) from error

    def _class_of(self, entry: Entry) -> type:
        from ganvas.registry.contracts import check_component  # pydantic takes a while, and listing does without

        found = entry.target
        if isinstance(found, str):
            home, _, attribute = found.partition(":")
            try:
                module = import_target(home)
            except (Exception, SystemExit) as error:
                raise BrokenComponent(_told(error, home)[0]) from error
            if not hasattr(module, attribute):
                own = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
                raise BrokenComponent(f"{home} has no attribute {attribute!r}{did_you_mean(attribute, own)}")
            found = getattr(module, attribute)
        if mistakes := check_component(found, entry.kind):
            raise BrokenComponent(*mistakes)
        return found

    def _usable(self, entry: Entry) -> bool:
        """Whether a component works; where it does not, its plugin is noted to be broken."""
        if entry not in self._broken:
            try:
                self._class_of(entry)
            except BrokenComponent as error:
                self._leave_out(entry, error)
        return entry not in self._broken

    def _leave_out(self, entry: Entry, error: BrokenComponent) -> None:
        record = self.record_of(entry)
        self._broken.add(entry)
        trace = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
        for mistake in error.mistakes:
            record.fault(entry.label, mistake, trace)

    def usable(self, kind: str | None = None) -> list[Entry]:
        """Every component that works. Imports them all; each plugin of which some do not is warned of."""
        found = [entry for entry in self.entries(kind) if self._usable(entry)]
        self._warn()
        return found

    def listed(self, kind: str | None = None) -> list[tuple[Entry, str]]:
        """Every component with its summary, not imported; what cannot even be read is left out and warned of."""
        found = []
        for entry in self.entries(kind):
            try:
                found.append((entry, self.summary(entry)))
            except BrokenComponent as error:
                self._leave_out(entry, error)
        self._warn()
        return [(entry, summary) for entry, summary in found if entry not in self._broken]

    def examine(self) -> None:
        """Imports every component and looks up what plugins failed with in training: ``plugins`` is the whole truth."""
        self.usable()
        for record in self.plugins:
            if record.status != "blocked" and (failure := last_failure(record.name, record.origin)) is not None:
                record.fault("", *failure)

    def _warn(self) -> None:
        for record in self.plugins:
            record.warn()

    def summary(self, entry: Entry) -> str:
        """First line of the component's docstring, read from its source. Raises ``BrokenComponent`` without one."""
        if not isinstance(entry.target, str):
            return (inspect.getdoc(entry.target) or "").partition("\n")[0]
        home, _, attribute = entry.target.partition(":")
        try:
            file = Path(home) if home.endswith(".py") else source_file(home)
            tree = ast.parse(file.read_bytes(), str(file)) if file else ast.Module([], [])
        except Exception as error:
            raise BrokenComponent(_told(error, home)[0]) from error
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""


_NO_HOOK = (
    "the plugin has no hook: write @ganvas.hookimpl above def ganvas_components(): …, "
    "or name its classes under components: in the registry.yaml"
)


def _allowed(name: str) -> bool:
    """Whether ``GANVAS_PLUGINS`` lets a plugin load: unset all, ``off`` none but the bundled, else a comma list."""
    chosen = os.environ.get("GANVAS_PLUGINS")
    if chosen is None or name in (BUNDLED, "ganvas.testing"):  # the doubles of the conformance suites
        return True
    return chosen != "off" and name in [word.strip() for word in chosen.split(",")]


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        log.warning(message)


def _no_entry(kind: str, name: Any, target: Any) -> str | None:
    """Why a name and its target cannot stand in the table."""
    if not isinstance(name, str) or not name or "/" in name:
        return f"no {kind} can be called {name!r}: a name is a text without '/'"
    if callable(target) or (isinstance(target, str) and ":" in target):
        return None
    return f"{kind}/{name} is {target!r}, neither a class nor 'module:attribute'"


def _several(owners: Sequence[Entry]) -> str:
    number = {2: "two", 3: "three"}.get(len(owners), str(len(owners)))
    choices = " or ".join(f"{owner.plugin}/{owner.name}" for owner in owners)
    sources = " and ".join(f"{owner.plugin} ({owner.source})" for owner in owners)
    return f"{number} plugins offer the {owners[0].kind} {owners[0].name!r}: {sources}; write {choices}"


def _told(error: BaseException, home: str) -> tuple[str, str]:
    """What is to be said of an error in a plugin's code, with file and line, and its traceback.

    Args:
        home: the module or file that was to be imported.
    """
    if isinstance(error, BrokenComponent):
        return str(error), ""
    trace = "".join(traceback.format_exception(error))
    ours = (__file__, str(Path(importlib.__file__).parent), "<")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        place, said = f"{error.filename}:{error.lineno}: ", f"{type(error).__name__}: {error.msg}"
    elif (
        isinstance(error, ModuleNotFoundError)
        and error.name
        and importlib.util.find_spec(error.name.partition(".")[0]) is None
    ):
        package = error.name.partition(".")[0]
        if (Path(home).parent / f"{package}.py").is_file() and home.endswith(".py"):
            said = f"{package}.py lies beside it, but not on Python's path: make them a package and name its modules"
        elif package == home.partition(".")[0]:
            said = f"there is no module {package!r}: install it, or mend the name"
        else:
            said = f"it needs the package {package!r}: pip install {package}"
    return place + said, trace


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
        name = f"{_FILE_MODULE}{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()}"
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
