"""ganvas: a plugin-based, modular research framework for generative adversarial networks.

Everything a plugin or a notebook needs is imported from here. Names are imported when first used, so that
``import ganvas`` (and with it ``ganvas --help``) does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "ganvas.engine.parallel": ("gather",),
    "ganvas.kinds.algorithm": ("Algorithm", "Embedding", "Preview", "Step", "Update"),
    "ganvas.kinds.data": ("Condition", "Data", "DataField", "Dataset", "MissingData", "Segment"),
    "ganvas.kinds.duel": ("Duel", "Match"),
    "ganvas.kinds.evaluation": ("Encoded", "Measurement", "Metric", "Sampler", "Stage", "Tracker"),
    "ganvas.kinds.networks": (
        "Backbone",
        "Classifier",
        "Discriminator",
        "Encoder",
        "Extractor",
        "Generator",
        "Head",
        "Translator",
    ),
    "ganvas.kinds.objectives": ("Augmentation", "Loss", "Regularizer"),
    "ganvas.kinds.optimizer": ("Optimizer",),
    "ganvas.kinds.options": ("Incidental", "Position", "Progress", "Scheduled", "Trained", "Use"),
    "ganvas.kinds.records": ("Critique", "Generated", "Latents", "Terms"),
    "ganvas.registry.cache": ("cache_folder", "write_cached"),
    "ganvas.registry.hooks": ("hookimpl",),
    "ganvas.runs.api": ("build", "check", "components", "load", "train"),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_WHERE, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from ganvas.engine.parallel import gather
    from ganvas.kinds.algorithm import Algorithm, Embedding, Preview, Step, Update
    from ganvas.kinds.data import Condition, Data, DataField, Dataset, MissingData, Segment
    from ganvas.kinds.duel import Duel, Match
    from ganvas.kinds.evaluation import Encoded, Measurement, Metric, Sampler, Stage, Tracker
    from ganvas.kinds.networks import (
        Backbone,
        Classifier,
        Discriminator,
        Encoder,
        Extractor,
        Generator,
        Head,
        Translator,
    )
    from ganvas.kinds.objectives import Augmentation, Loss, Regularizer
    from ganvas.kinds.optimizer import Optimizer
    from ganvas.kinds.options import Incidental, Position, Progress, Scheduled, Trained, Use
    from ganvas.kinds.records import Critique, Generated, Latents, Terms
    from ganvas.registry.cache import cache_folder, write_cached
    from ganvas.registry.hooks import hookimpl
    from ganvas.runs.api import build, check, components, load, train


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name == "plugins":
        return import_module("ganvas.registry.plugins")
    raise AttributeError(f"module 'ganvas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "plugins"]
