"""The hooks a plugin may implement (pluggy): one that registers components, and the lifecycle of a stage."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

import ganvas

if TYPE_CHECKING:
    from ganvas.kinds.algorithm import Preview

__all__ = ["StageRecord", "hookimpl", "hookspec", "implementations", "where"]

hookspec = pluggy.HookspecMarker("ganvas")
hookimpl = pluggy.HookimplMarker("ganvas")


@dataclass
class StageRecord:
    """What a tracker knows about the stage it follows.

    Attributes:
        experiment, name: of the spec and of the stage.
        folder: the stage's folder.
        spec: the resolved spec as YAML text.
        options: flat option -> value, for hyperparameters.
        resumed_at, resumed_images: iterations done and images seen when this process took over; 0 at the start. What a
            log holds from beyond there was never reached and has to go.
    """

    experiment: str
    name: str
    folder: Path
    spec: str
    options: Mapping[str, Any]
    resumed_at: int = 0
    resumed_images: int = 0


@hookspec
def ganvas_components() -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Returns kind -> name -> class, or ``"module:attribute"`` to be imported when used."""


@hookspec
def ganvas_stage_started(stage: StageRecord) -> None:
    """Training of a stage starts or goes on."""


@hookspec
def ganvas_scalars(stage: StageRecord, index: int, images: int, scalars: Mapping[str, float]) -> None:
    """Scalars at a log point, by tag; ``index`` iterations done, ``images`` seen."""


@hookspec
def ganvas_images(stage: StageRecord, index: int, images: int, previews: Mapping[str, Preview]) -> None:
    """Pictures of what the stage does now."""


@hookspec
def ganvas_checkpoint_saved(stage: StageRecord, index: int, path: Path) -> None:
    """A checkpoint has been written and is safe on disk."""


@hookspec
def ganvas_stage_finished(stage: StageRecord, metrics: Mapping[str, Any]) -> None:
    """The stage is trained and measured; ``metrics`` is name -> value, deviation, better, protocol."""


HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in list(globals().items())
    if hasattr(function, "ganvas_spec")
}


def implementations(plugin: Any) -> tuple[dict[str, Callable[..., Any]], list[str]]:
    """The hooks that a module, an object or a class implements, by name, and what is wrong, with file and line.

    pluggy itself passes over a hook that is not decorated and stops at the first that it does not know.
    """
    found: dict[str, Callable[..., Any]] = {}
    mistakes: list[str] = []
    for attribute in dir(plugin):
        function = inspect.getattr_static(plugin, attribute, None)
        static = isinstance(function, staticmethod | classmethod)
        if not static and not inspect.isroutine(function):
            continue
        function = getattr(plugin, attribute)
        options = getattr(function, "ganvas_impl", None)
        name = (options or {}).get("specname") or attribute
        if name not in HOOKS:
            near = difflib.get_close_matches(name.removeprefix("ganvas_"), _SHORT, n=1, cutoff=0.85)
            if near and attribute.startswith("ganvas_"):
                said = f"no hook is called {name!r}; did you mean 'ganvas_{near[0]}'?"
            elif options is not None:
                said = f"ganvas {ganvas.__version__} has no hook {name!r}: the plugin may be written for a newer ganvas"
            else:
                continue  # a function of the plugin's own
        elif options is None:
            said = f"{name} is not decorated, so it is never called: write @ganvas.hookimpl above it"
        elif options.get("wrapper") or options.get("hookwrapper"):
            said = f"{name} is a wrapper, which ganvas does not call: write a plain function"
        elif unknown := [
            word for word in _asked(function, inspect.isclass(plugin) and not static) if word not in HOOKS[name]
        ]:
            gives = ", ".join(HOOKS[name]) or "nothing"
            said = (
                f"{name} asks for {' and '.join(map(repr, unknown))}, which ganvas {ganvas.__version__} does not give "
                f"(it gives {gives}): the plugin may be written for a newer ganvas"
            )
        else:
            found[name] = function
            continue
        mistakes.append(f"{where(function)}: {said}")
    return found, mistakes


_SHORT = [name.removeprefix("ganvas_") for name in HOOKS]


def _asked(function: Callable[..., Any], method: bool) -> list[str]:
    """The arguments that a hook cannot do without; ``method``: of a class, so that the first is its instance."""
    parameters = list(inspect.signature(function).parameters.values())[method:]
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def where(thing: Any) -> str:
    """``file:line`` of a function or class, the file of a module."""
    try:
        file = inspect.getsourcefile(thing)
        return str(file) if inspect.ismodule(thing) else f"{file}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return getattr(thing, "__module__", "?")
