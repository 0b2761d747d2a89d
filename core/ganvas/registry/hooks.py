"""The hooks a plugin may implement (pluggy): one that registers components, and the lifecycle of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from ganvas.kinds.algorithm import Preview

__all__ = ["StageRecord", "hookimpl", "hookspec"]

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
