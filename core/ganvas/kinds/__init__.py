"""The kinds of components, by name.

Besides what its kind's contract asks for, a component may offer

- ``prepare(data, rng)``: runs once before training, and what it computes is saved with the stage; one that wraps
  another of its own kind calls that one's;
- ``missing()``: one line that says what has to be fetched before training, or None;
- ``check_batch(size)``: raises ``ValueError``, with the remedy, for a stage's ``batch_size`` that it cannot train with.

This module imports no torch: the registry reads it to answer ``ganvas list`` at once. A kind's contract (its base
class) is declared as ``module:attribute`` and imported when a component of that kind is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

__all__ = ["KINDS", "Kind", "placed"]


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Attributes:
        name: the word used in specs and in ``registry.yaml``.
        contract: ``module:attribute`` of the base class.
        given: names of the positional arguments that the engine passes to ``__init__``, in order.
        plural: the folder that bundled components of this kind live in.
        summary: what the kind is for, in one line.
        example: the settings (dotted path -> value) that put a component of this kind into the quickstart, with ``...``
            where the component stands. A component that needs other settings has a class attribute ``example``.
    """

    name: str
    contract: str
    given: tuple[str, ...]
    plural: str
    summary: str
    example: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Where a component of this kind stands in the quickstart; in a list, the list's path; empty for nowhere."""
        return next((path for path, value in self.example.items() if _filled(value, None) != value), "")


def placed(kind: str, component: Any, example: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The overrides that put a component into the quickstart.

    ``placed("loss", "hinge")`` is ``{"stages.gan.loss": "hinge"}``: what ``ganvas.train("quickstart", overrides=…)``
    takes, and ``--set`` on the command line.

    Args:
        component: its name, or a mapping with ``use`` and options.
        example: the component's own, where its class has one; that of the kind otherwise.
    """
    return {path: _filled(value, component) for path, value in (example or KINDS[kind].example).items()}


def _filled(value: Any, component: Any) -> Any:
    """A value of an example with the component in its place."""
    match value:
        case EllipsisType():
            return component
        case list():
            return [_filled(inner, component) for inner in value]
        case dict():
            return {name: _filled(inner, component) for name, inner in value.items()}
    return value


def _table(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


_NETWORKS = "ganvas.kinds.networks"
_OBJECTIVES = "ganvas.kinds.objectives"
_CLASSIFICATION = {"use": "classification", "classifier": "attributes", "own_step": False}
_TRANSLATION = {
    "use": "cyclegan",
    "dataset": {"use": "unpaired", "a": "mnist-5k", "b": {"use": "digits", "size": 28}},
    "translator": ...,
    "discriminator": {"use": "patch", "channels": 16, "layers": 1, "norm": "instance"},
    "steps": 500,
    "batch_size": 16,
}

KINDS: dict[str, Kind] = _table(
    Kind("dataset", "ganvas.kinds.data:Dataset", (), "datasets", "where samples come from", {"dataset": ...}),
    Kind(
        "augmentation",
        f"{_OBJECTIVES}:Augmentation",
        (),
        "augmentations",
        "a batched image transform",
        {"stages.gan.augmentation": ...},
    ),
    Kind(
        "backbone",
        f"{_NETWORKS}:Backbone",
        ("shape",),
        "backbones",
        "an image network without a head",
        {"stages.features.backbone": ...},
    ),
    Kind(
        "encoder",
        f"{_NETWORKS}:Encoder",
        ("backbone", "data"),
        "encoders",
        "a self-supervised method",
        {"stages.features.encoder": ...},
    ),
    Kind(
        "condition",
        "ganvas.kinds.data:Condition",
        ("data",),
        "conditions",
        "what a sample is conditioned on",
        {"stages.attributes.condition": ..., "stages.gan.condition": ...},
    ),
    Kind(
        "classifier",
        f"{_NETWORKS}:Classifier",
        ("shape", "outputs"),
        "classifiers",
        "features to classes",
        {"stages.attributes.classifier": ...},
    ),
    Kind(
        "extractor",
        f"{_NETWORKS}:Extractor",
        (),
        "extractors",
        "the feature network of a metric",
        {"stages.gan.evaluate.metrics": [{"use": "fid", "extractor": ...}]},
    ),
    Kind(
        "generator",
        f"{_NETWORKS}:Generator",
        ("shape", "condition"),
        "generators",
        "latents to samples",
        # The quickstart's other regularizer of the generator is one of its generator's subspaces.
        {"stages.gan.generator": ..., "stages.gan.regularizers": [_CLASSIFICATION]},
    ),
    Kind(
        "translator",
        f"{_NETWORKS}:Translator",
        ("shape", "condition"),
        "translators",
        "image to image",
        {"stages.gan": _TRANSLATION},
    ),
    Kind(
        "head",
        f"{_NETWORKS}:Head",
        ("features", "condition"),
        "heads",
        "trunk features to scores",
        {"stages.gan.discriminator.head": ...},
    ),
    Kind(
        "discriminator",
        f"{_NETWORKS}:Discriminator",
        ("shape", "condition"),
        "discriminators",
        "a trunk with a head",
        {"stages.gan.discriminator": ...},
    ),
    Kind("loss", f"{_OBJECTIVES}:Loss", (), "losses", "an adversarial loss", {"stages.gan.loss": ...}),
    Kind(
        "regularizer",
        f"{_OBJECTIVES}:Regularizer",
        ("duel",),
        "regularizers",
        "a term or a constraint",
        {"stages.gan.regularizers": [...]},
    ),
    Kind(
        "algorithm",
        "ganvas.kinds.algorithm:Algorithm",
        ("data",),
        "algorithms",
        "a stage's training",
        {"stages.gan": ..., "stages.gan.steps": 500},
    ),
    Kind(
        "sampler",
        "ganvas.kinds.evaluation:Sampler",
        ("stage",),
        "samplers",
        "a better sampler out of a trained stage",
        {},  # no spec names one: it is chosen for a trained stage
    ),
    Kind(
        "metric",
        "ganvas.kinds.evaluation:Metric",
        ("data",),
        "metrics",
        "numbers about a trained stage",
        {"stages.gan.evaluate.metrics": [...]},
    ),
    Kind(
        "tracker",
        "ganvas.kinds.evaluation:Tracker",
        (),
        "trackers",
        "where scalars and images go",
        {"trackers": [...]},
    ),
    Kind(
        "optimizer",
        "ganvas.kinds.optimizer:Optimizer",
        (),
        "optimizers",
        "torch's optimizers",
        {"stages.gan.optimizers": ...},
    ),
)
