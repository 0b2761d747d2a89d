"""The lifecycle hooks of a stage: trackers and every other plugin hear what happens."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any

import pluggy

from ganvas.engine.errors import ResourceError
from ganvas.registry import hooks
from ganvas.spec.build import Builder
from ganvas.spec.experiment import Experiment

__all__ = ["Hooks"]

log = logging.getLogger("ganvas")


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
        trackers = [builder.build(component) for component in experiment.settings.options["trackers"]]
        if "jsonl" in host.names("tracker") and all(tracker.component_name != "jsonl" for tracker in trackers):
            trackers.append(host.resolve(host.find("tracker", "jsonl"))())
            trackers[-1].component_name = "jsonl"
        for number, tracker in enumerate(trackers):
            self.manager.register(tracker, f"tracker {tracker.component_name} {number}")
        for name, plugin in host.manager.list_name_plugin():
            if plugin is not None:
                self.manager.register(plugin, name)

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
                log.debug("the plugin %s failed", owner, exc_info=True)
                self.warn(f"{owner} failed in {name} ({type(error).__name__}: {error}); going on without it")
