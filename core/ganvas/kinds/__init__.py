"""The kinds of components, by name.

Besides what its kind's contract asks for, a component may offer

- ``prepare(data, rng)``: runs once before training, and what it computes is saved with the stage;
- ``missing()``: one line that says what has to be fetched before training, or None;
- ``check_batch(size)``: raises ``ValueError``, with the remedy, for a stage's ``batch_size`` that it cannot train with.

This module imports no torch: the registry reads it to answer ``ganvas list`` at once. A kind's contract (its base
class) is declared as ``module:attribute`` and imported when a component of that kind is first used.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Attributes:
        name: the word used in specs and in ``registry.yaml``.
        contract: ``module:attribute`` of the base class.
        given: names of the positional arguments that the engine passes to ``__init__``, in order.
        plural: the folder that bundled components of this kind live in.
        summary: what the kind is for, in one line.
    """

    name: str
    contract: str
    given: tuple[str, ...]
    plural: str
    summary: str


def _table(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


KINDS: dict[str, Kind] = _table(
    Kind("dataset", "ganvas.kinds.data:Dataset", (), "datasets", "where samples come from"),
    Kind("augmentation", "ganvas.kinds.objectives:Augmentation", (), "augmentations", "a batched image transform"),
    Kind("backbone", "ganvas.kinds.networks:Backbone", ("shape",), "backbones", "an image network without a head"),
    Kind("encoder", "ganvas.kinds.networks:Encoder", ("backbone", "data"), "encoders", "a self-supervised method"),
    Kind("condition", "ganvas.kinds.data:Condition", ("data",), "conditions", "what a sample is conditioned on"),
    Kind("classifier", "ganvas.kinds.networks:Classifier", ("shape", "outputs"), "classifiers", "features to classes"),
    Kind("extractor", "ganvas.kinds.networks:Extractor", (), "extractors", "the feature network of a metric"),
    Kind("generator", "ganvas.kinds.networks:Generator", ("shape", "condition"), "generators", "latents to samples"),
    Kind("translator", "ganvas.kinds.networks:Translator", ("shape", "condition"), "translators", "image to image"),
    Kind("head", "ganvas.kinds.networks:Head", ("features", "condition"), "heads", "trunk features to scores"),
    Kind(
        "discriminator",
        "ganvas.kinds.networks:Discriminator",
        ("shape", "condition"),
        "discriminators",
        "a trunk with a head",
    ),
    Kind("loss", "ganvas.kinds.objectives:Loss", (), "losses", "an adversarial loss"),
    Kind("regularizer", "ganvas.kinds.objectives:Regularizer", ("duel",), "regularizers", "a term or a constraint"),
    Kind("algorithm", "ganvas.kinds.algorithm:Algorithm", ("data",), "algorithms", "a stage's training"),
    Kind(
        "sampler",
        "ganvas.kinds.evaluation:Sampler",
        ("stage",),
        "samplers",
        "a better sampler out of a trained stage",
    ),
    Kind("metric", "ganvas.kinds.evaluation:Metric", ("data",), "metrics", "numbers about a trained stage"),
    Kind("tracker", "ganvas.kinds.evaluation:Tracker", (), "trackers", "where scalars and images go"),
    Kind("optimizer", "ganvas.kinds.optimizer:Optimizer", (), "optimizers", "torch's optimizers"),
)
