"""The lifecycle hooks of a stage: trackers and every other plugin hear what happens."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pluggy

from ganvas.engine.errors import ResourceError
from ganvas.registry import hooks
from ganvas.registry.failures import forget_failure, keep_failure
from ganvas.registry.plugins import BUNDLED, PluginRecord
from ganvas.spec.build import Builder
from ganvas.spec.experiment import Experiment

__all__ = ["Hooks"]


class Hooks:
    """Calls the lifecycle hooks. A plugin that fails in one is warned of once; the training goes on.

    Args:
        builder: builds the spec's trackers; the JSON lines are always among them.
    """

    def __init__(self, experiment: Experiment, builder: Builder, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.failed: set[str] = set()
        self.manager = pluggy.PluginManager("ganvas")
        self.manager.add_hookspecs(hooks)
        host = experiment.host
        trackers = [(part.entry, builder.build(part)) for part in experiment.settings.options["trackers"]]
        always = next((e for e in host.entries("tracker") if (e.name, e.plugin) == ("jsonl", BUNDLED)), None)
        if always is not None and all(entry != always for entry, _ in trackers):
            trackers.append((always, host.resolve(always)()))
        self.owners: dict[str, PluginRecord] = {}  # registered name -> the plugin that answers for it
        for number, (entry, tracker) in enumerate(trackers):
            name = f"the tracker {entry.name!r}"
            name = f"{name} ({number + 1})" if name in self.owners else name
            self._register(name, tracker, host.record_of(entry))
        for record in host.plugins:
            if record.status != "blocked" and (plugin := host.manager.get_plugin(record.name)) is not None:
                self._register(record.name, plugin, record)

    def _register(self, name: str, part: Any, record: PluginRecord) -> None:
        self.manager.register(part, name)
        self.owners[name] = record

    def __call__(self, name: str, **values: Any) -> None:
        # One by one, not through pluggy's own call: there the first one to fail would end it for all.
        for implementation in reversed(getattr(self.manager.hook, name).get_hookimpls()):
            owner = implementation.plugin_name
            if owner in self.failed:
                continue
            try:
                implementation.function(*(values[argument] for argument in implementation.argnames))
            except Exception as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise ResourceError(f"the disk is full: {owner} could not write its log") from error
                self.failed.add(owner)
                record = self.owners[owner]
                keep_failure(record.name, record.origin, f"{name} of {owner}", error)
                self.warn(
                    f"{owner} failed in {name} ({type(error).__name__}: {error}); training goes on without it; "
                    "`ganvas plugins` shows the traceback"
                )
        if name == "ganvas_stage_finished":
            failed = [self.owners[owner] for owner in self.failed]
            for record in self.owners.values():
                if record not in failed:
                    forget_failure(record.name, record.origin)
