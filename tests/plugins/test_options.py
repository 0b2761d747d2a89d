"""Every option of every bundled component trains: a table of small trainings that covers them all.

``CASES`` is the table. What a case covers is read off its spec: an option counts where it stands at another value than
its default, so an option that is registered later and is in no case fails ``test_every_option_is_tried``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import timm
import torch

import ganvas
from ganvas.engine.training import Job, train
from ganvas.registry.documents import Node, Place
from ganvas.registry.plugins import Host
from ganvas.registry.signature import options_of
from ganvas.runs import experiment as training
from ganvas.runs.api import read
from ganvas.runs.folders import to_yaml
from ganvas.spec.stage import Checkpoint, Ema, Evaluate, ExperimentSettings, Health, StageSettings
from ganvas.spec.validate import Component, GroupValue, Validator, plain_value
from ganvas_plugins.extractors.inception import fid_inception

DIGITS = {"use": "digits"}
COMMON = {"steps": 2, "batch_size": 8, "log_every": 1}
EIGENGAN = {"use": "eigengan", "channels": 4, "basis": 2, "noise": 4, "hidden": 8}
GLOBAL = {"use": "global", "channels": 4}
DCGAN = {"generator": {"use": "dcgan", "channels": 4, "latent": 4}, "discriminator": {"use": "dcgan", "channels": 4}}
BACKBONE = {"use": "timm", "model": "test_resnet"}
FEATURES = {"use": "self-supervised", "backbone": BACKBONE, **COMMON}
ATTRIBUTES = {"use": "classifier", "encoder": "features", **COMMON}
CONDITIONAL = {"use": "gan", "generator": EIGENGAN, "discriminator": GLOBAL, "condition": "labels", **COMMON}

RANDOM = {"extractor": {"use": "random", "seed": 1, "width": 8, "side": 16}, "samples": 20}
JUDGE = {"extractor": {"use": "classifier", "training": 3}, "samples": 20}


def gan(**options: Any) -> dict[str, Any]:
    """One stage, conditioned on labels unless it says otherwise."""
    return {"dataset": DIGITS, "stages": {"gan": {**CONDITIONAL, **options}}}


def on(**dataset: Any) -> dict[str, Any]:
    """A plain GAN on a data set."""
    return {"dataset": dataset, "stages": {"gan": {"use": "gan", **DCGAN, **COMMON}}}


def chain(**stages: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder on digits, and what follows it."""
    return {"dataset": DIGITS, "stages": {"features": FEATURES, **stages}}


# What the views of MoCo and BYOL have in common, each at another value than its default.
GENTLE = {
    "scale": [0.6, 0.9],
    "ratio": [0.9, 1.1],
    "flip": 0.2,
    "brightness": 0.1,
    "contrast": 0.2,
    "hue": 0.05,
    "jitter_probability": 1.0,
    "grayscale": 0.5,
}
# What the data sets have in common, each at another value than its default.
HALF = {"holdout": 0.5, "part": "holdout", "flip": True, "fit": "stretch", "size": 16}

CASES: dict[str, dict[str, Any]] = {
    # -- losses, generators, discriminators ----------------------------------------------------------------------------
    "minimax": {
        "dataset": {"use": "digits", "size": 16},
        "stages": {
            "gan": {
                "use": "gan",
                "generator": {
                    "use": "dcgan",
                    "latent": 4,
                    "prior": "normal",
                    "channels": 4,
                    "kernel": 5,
                    "norm": "none",
                },
                "discriminator": {"use": "dcgan", "channels": 4, "kernel": 5, "norm": "none", "conditional": True},
                "loss": {"use": "minimax", "smoothing": 0.1},
                "condition": "labels",
                "fakes": "balanced",
                "generator_fakes": 2,
                "batches": "separate",
                **COMMON,
            }
        },
    },
    "non-saturating": {
        "dataset": {"use": "digits", "size": 16},
        "stages": {
            "gan": {
                "use": "gan",
                "generator": {**EIGENGAN, "max_channels": 8, "orthonormal": True},
                "discriminator": {
                    "use": "patch",
                    "channels": 4,
                    "layers": 2,
                    "norm": "instance",
                    "head": {"use": "linear", "kernel": 3},
                    "conditional": True,
                },
                "loss": {"use": "non-saturating", "smoothing": 0.1},
                "condition": "labels",
                "fakes": "batch",
                **COMMON,
            }
        },
    },
    "least-squares": gan(
        discriminator={"use": "global", "channels": 4, "max_channels": 6, "conditional": True},
        loss={"use": "least-squares", "real": 0.9, "fake": 0.1, "target": 0.8, "factor": 1.0, "power": 4},
    ),
    "hinge": gan(loss={"use": "hinge", "margin": 2.0, "generator": "clipped"}),
    "stylegan2": gan(
        generator={
            "use": "stylegan2",
            "latent": 4,
            "style": 6,
            "mapping_layers": 2,
            "mapping_rate": 0.1,
            "channels": 4,
            "max_channels": 6,
            "noise": False,
            "mixing": 0.5,
            "average_decay": 0.9,
        },
        discriminator={
            "use": "stylegan2",
            "channels": 4,
            "max_channels": 6,
            "group_size": 2,
            "head": "projection",
            "conditional": True,
        },
        regularizers=[
            {
                "use": "path-length",
                "weight": {"from": 1.0, "to": 2.0},
                "every": 2,
                "decay": 0.1,
                "batch_share": 1.0,
                "rescale": False,
                "own_step": True,
                "place": "before",
            },
            {"use": "r1", "every": 2},
        ],
        ema=100,
        precision="bf16",
    ),
    "r3gan": gan(
        generator={
            "use": "r3gan",
            "latent": 4,
            "channels": 4,
            "max_channels": 6,
            "blocks": 1,
            "expansion": 4,
            "group_size": 8,
        },
        discriminator={
            "use": "r3gan",
            "channels": 4,
            "max_channels": 6,
            "blocks": 1,
            "expansion": 4,
            "group_size": 8,
            "head": "projection",
            "conditional": True,
        },
        regularizers=[{"use": "r1", "weight": 0.1}],
    ),
    "unet": gan(
        discriminator={
            "use": "unet",
            "channels": 4,
            "max_channels": 6,
            "spectral_norm": False,
            "head": "projection",
            "conditional": True,
        },
        fakes="batch",
        regularizers=[
            {
                "use": "cutmix",
                "weight": {"from": 0.5, "to": 1.0},
                "every": 2,
                "rescale": False,
                "own_step": True,
                "place": "before",
            }
        ],
    ),
    "patches with batch norm": on(**DIGITS)
    | {
        "stages": {
            "gan": {
                "use": "gan",
                "generator": DCGAN["generator"],
                "discriminator": {"use": "patch", "channels": 4, "layers": 1},
                **COMMON,
            }
        }
    },
    "wasserstein": gan(
        loss="wasserstein",
        discriminator_steps=3,
        regularizers=[{"use": "weight-clipping", "limit": 0.05}],
        optimizers={"use": "rmsprop", "lr": 1e-3, "alpha": 0.9, "eps": 1e-6, "momentum": 0.1, "weight_decay": 1e-4},
    ),
    "softplus-least-squares": gan(
        discriminator={**GLOBAL, "head": {"use": "san", "bias": False, "scale": False, "per_class": False}},
        loss={
            "use": "san",
            "weight": 2.0,
            "loss": {"use": "softplus-least-squares", "real": 0.9, "fake": 0.1, "target": 0.8, "factor": 0.5},
        },
    ),
    "relativistic": gan(loss={"use": "relativistic", "kind": "average", "base": "hinge", "factor": 0.5}),
    "top-k of feature matching": gan(
        discriminator={"use": "dcgan", "channels": 4, "head": "san"},
        loss={
            "use": "top-k",
            "share": {"from": 1.0, "to": 0.25},
            "loss": {
                "use": "feature-matching",
                "layers": ["level0", "features"],
                "distance": "absolute",
                "weight": 2.0,
                "adversarial": 0.1,
                "loss": "san",
            },
        },
    ),
    "multi-hinge": gan(
        discriminator={"use": "patch", "channels": 4, "layers": 1, "norm": "none", "head": "multi-class"},
        loss={"use": "multi-hinge", "margin": 2.0},
    ),
    # -- heads ---------------------------------------------------------------------------------------------------------
    "minibatch statistics under an auxiliary classifier": {
        "dataset": {"use": "digits", "size": 16},
        "stages": {
            "gan": {
                **CONDITIONAL,
                "discriminator": {
                    "use": "dcgan",
                    "channels": 4,
                    "head": {
                        "use": "minibatch-discrimination",
                        "kernels": 3,
                        "dimensions": 2,
                        "weight_norm": True,
                        "head": {
                            "use": "auxiliary-classifier",
                            "discriminator_weight": {"from": 1.0, "to": 0.5},
                            "generator_weight": 0.1,
                            "fakes": False,
                            "head": "projection",
                        },
                    },
                },
            }
        },
    },
    "minibatch statistics of patches under twin classifiers": gan(
        discriminator={
            "use": "patch",
            "channels": 4,
            "layers": 1,
            "head": {
                "use": "minibatch-stddev",
                "group_size": None,
                "channels": 2,
                "head": {
                    "use": "twin-auxiliary",
                    "discriminator_weight": 0.5,
                    "generator_weight": 0.1,
                    "twin_discriminator_weight": 0.5,
                    "twin_generator_weight": {"from": 0.0, "to": 0.1},
                    "fakes": False,
                    "head": {"use": "linear", "kernel": 4},
                },
            },
        },
    ),
    "contrastive": gan(
        discriminator={
            **GLOBAL,
            "head": {
                "use": "contrastive",
                "embedding": 8,
                "temperature": 0.5,
                "discriminator_weight": 0.5,
                "generator_weight": {"from": 0.0, "to": 0.1},
                "head": "projection",
            },
        },
    ),
    "data-to-data": gan(
        discriminator={
            **GLOBAL,
            "head": {
                "use": "data-to-data",
                "embedding": 8,
                "temperature": 1.0,
                "positive_margin": 0.9,
                "negative_margin": 0.1,
                "discriminator_weight": 1.0,
                "generator_weight": {"from": 0.0, "to": 0.1},
                "head": "projection",
            },
        },
        precision="bf16",
    ),
    "mlp": gan(
        generator={"use": "mlp", "latent": 4, "prior": "uniform", "widths": [8], "norm": "batch"},
        discriminator={
            "use": "mlp",
            "widths": [8, 4],
            "dropout": 0.1,
            "spectral_norm": True,
            "head": "projection",
            "conditional": True,
        },
    ),
    "resnet": gan(
        generator={
            "use": "resnet",
            "latent": 4,
            "prior": "uniform",
            "channels": 2,
            "max_channels": 4,
            "base": 2,
            "upsampling": "bilinear",
        },
        discriminator={
            "use": "resnet",
            "channels": 2,
            "max_channels": 4,
            "base": 4,
            "plain_blocks": 1,
            "pooling": "mean",
            "spectral_norm": False,
            "head": "projection",
            "conditional": True,
        },
        regularizers=["gradient-penalty"],
    ),
    "biggan": gan(
        generator={
            "use": "biggan",
            "latent": 2,
            "channels": 1,
            "hierarchical": True,
            "embedding": 3,
            "attention": 8,
            "spectral_norm": False,
            "weights": "normal",
        },
        discriminator={
            "use": "biggan",
            "channels": 1,
            "attention": 4,
            "spectral_norm": False,
            "head": "projection",
            "weights": "normal",
            "conditional": True,
        },
        regularizers=[{"use": "spectral-normalisation", "network": "both", "iterations": 2}],
        ema=100,
    ),
    "spectral norm in networks": gan(
        generator={"use": "biggan", "channels": 1},
        discriminator={"use": "global", "channels": 4, "spectral_norm": True},
        precision="bf16",
        ema={"half_life": 10, "networks": ["discriminator"]},
    ),
    "spectral norm before a flat head": gan(
        discriminator={"use": "dcgan", "channels": 4, "norm": "none", "spectral_norm": True},
    ),
    "spectral norm of patches": gan(
        discriminator={"use": "patch", "channels": 4, "layers": 1, "norm": "none", "spectral_norm": True},
    ),
    # -- regularizers --------------------------------------------------------------------------------------------------
    "r1 in a step of its own": gan(
        regularizers=[
            {
                "use": "r1",
                "weight": {"from": 1.0, "to": 0.1},
                "every": 2,
                "half": False,
                "rescale": False,
                "own_step": True,
                "place": "before",
            }
        ],
    ),
    "lazy terms in steps of their own": gan(
        regularizers=[
            {"use": "gradient-penalty", "every": 2, "rescale": False, "own_step": True, "place": "first"},
            {"use": "orthogonality", "every": 2, "rescale": False, "own_step": True, "place": "before"},
        ],
    ),
    "penalties in the players' steps": gan(
        regularizers=[
            {"use": "r1", "weight": 1.0},
            {"use": "gradient-penalty", "weight": 1.0, "sides": "one", "at": "dragan", "target": 0.5},
            {"use": "gradient-penalty", "weight": {"from": 1.0, "to": 2.0}},
            {"use": "orthogonality", "weight": 1.0, "norm": "frobenius"},
        ],
    ),
    "lazy terms of fakes, of the past and of weights": gan(
        regularizers=[
            {
                "use": "r2",
                "weight": 1.0,
                "every": 2,
                "half": False,
                "rescale": False,
                "own_step": True,
                "place": "before",
            },
            {
                "use": "lecam",
                "weight": 0.1,
                "every": 2,
                "rescale": False,
                "own_step": True,
                "place": "before",
                "decay": 0.9,
                "start": 0,
                "rectified": False,
            },
            {
                "use": "historical-averaging",
                "weight": 0.1,
                "every": 2,
                "rescale": False,
                "own_step": True,
                "place": "before",
                "of": "generator",
            },
            {
                "use": "orthogonal-weights",
                "weight": 0.1,
                "every": 2,
                "rescale": False,
                "own_step": True,
                "place": "before",
                "of": "both",
                "diagonal": True,
            },
        ],
    ),
    "nearby latents and changed images": gan(
        regularizers=[
            {"use": "gradient-penalty", "at": "dragan", "radius": 1.0},
            {
                "use": "mode-seeking",
                "weight": 0.1,
                "eps": 0.1,
                "every": 2,
                "rescale": False,
                "own_step": True,
                "place": "before",
            },
            {
                "use": "consistency",
                "method": "icr",
                "augmentation": "diffaugment",
                "real": 1.0,
                "fake": 2.0,
                "discriminator": 3.0,
                "generator": 0.1,
                "deviation": 0.1,
                "weight": 0.1,
                "every": 2,
                "rescale": False,
                "own_step": True,
                "place": "before",
            },
        ],
    ),
    "classification in the generator's step": chain(
        attributes=ATTRIBUTES,
        gan={
            **CONDITIONAL,
            "regularizers": [
                {
                    "use": "classification",
                    "classifier": "attributes",
                    "weight": {"from": 0.5, "to": 1.0},
                    "every": 2,
                    "rescale": True,
                    "own_step": False,
                }
            ],
        },
    ),
    # -- augmentations, optimizers, the engine's options ---------------------------------------------------------------
    "diffaugment": gan(
        augmentation={"use": "diffaugment", "color": False, "translation": 0.25, "cutout": 0.25, "probability": 0.5},
        optimizers={
            "use": "adam",
            "lr": {"from": 1e-3, "to": 1e-4, "shape": "cosine", "warm_up": 0.1},
            "betas": [0.0, {"from": 0.9, "to": 0.99}],
            "eps": 1e-6,
            "weight_decay": 1e-4,
        },
        ema={"half_life": {"from": 0, "to": 100}, "networks": ["generator", "discriminator"]},
        discriminator_steps={"value": 2, "first": [1, 3], "every": [5, 1]},
    ),
    "ada": gan(
        augmentation={
            "use": "ada",
            "blitting": 0.9,
            "geometry": 0.8,
            "color": 0.7,
            "filtering": 0.6,
            "noise": 0.5,
            "cutout": 0.4,
            "start": 0.8,
            "target": 0.5,
            "ramp": 100,
            "every": 1,
            "maximum": 0.9,
        },
        regularizers=[{"use": "r1", "weight": 1.0}],
    ),
    "apa": gan(
        augmentation={"use": "apa", "start": 0.4, "target": -0.5, "ramp": 50, "every": 2, "maximum": 0.5},
        discriminator={**GLOBAL, "conditional": True},
        regularizers=[{"use": "r1", "weight": 1.0}],
    ),
    "simclr-views before a discriminator": gan(augmentation={"use": "simclr-views", "flip": 0.0}),
    "an optimizer for each player": {
        "name": "two-optimizers",
        "seed": 3,
        "deterministic": True,
        "trackers": [{"use": "tensorboard", "tags": 5}, "jsonl"],
        "dataset": DIGITS,
        "stages": {
            "gan": {
                **CONDITIONAL,
                "optimizers": {
                    "generator": {
                        "use": "adamw",
                        "lr": {"from": 1e-3, "to": 1e-4, "shape": "exponential", "over": {"images": 100}},
                        "betas": [0.5, 0.9],
                        "eps": 1e-6,
                        "weight_decay": 0.1,
                    },
                    "discriminator": {
                        "use": "sgd",
                        "lr": {"from": 1e-2, "to": 1e-3, "hold": 0.5},
                        "momentum": {"from": 0.5, "to": 0.9},
                        "nesterov": True,
                        "weight_decay": 1e-4,
                    },
                },
                "ema": 100,
                "clip_gradients": 1.0,
                "checkpoint": {"every": 1, "keep": 1},
                "health": {"every": 1, "samples": 20, "extractor": {"use": "random", "width": 8, "side": 16}},
                "sync_batch_norm": True,
                "pictures_every": 1,
            }
        },
    },
    "statistics of batch norm over all processes": gan(
        generator={"use": "dcgan", "channels": 4, "latent": 4}, sync_batch_norm=True
    ),
    "bf16": gan(precision="bf16", regularizers=[{"use": "r1", "weight": 1.0}, {"use": "gradient-penalty"}], ema=100),
    "started from another stage": {
        "dataset": DIGITS,
        "stages": {
            "first": CONDITIONAL,
            "second": {
                **CONDITIONAL,
                "start": "first",
                "seed": 5,
                "dataset": {"use": "digits", "flip": True},
                "checkpoint": {"every": "30s"},
            },
        },
    },
    # -- encoders, backbones, views, classifiers, clusters -------------------------------------------------------------
    "simclr": {
        "dataset": {"use": "image-folder", "root": "$OPTIONS_DATA/flat", "size": 16},
        "stages": {
            "features": {
                **FEATURES,
                "encoder": {"use": "simclr", "temperature": 0.2, "projection": 8, "hidden": 16},
                "backbone": {**BACKBONE, "stem": "small"},
                "augmentation": {
                    "use": "simclr-views",
                    "scale": [0.5, 0.9],
                    "ratio": [0.9, 1.1],
                    "flip": 0.2,
                    "jitter": 1.0,
                    "jitter_probability": 1.0,
                    "grayscale": 0.5,
                    "blur": 0.5,
                },
            },
        },
    },
    "encoders of two views": {
        "dataset": DIGITS,
        "stages": {
            "byol": {
                **FEATURES,
                "encoder": {"use": "byol", "momentum": 0.9, "projection": 8, "hidden": 6},
                "optimizers": {
                    "use": "lars",
                    "lr": {"from": 0.3, "to": 0, "shape": "cosine"},
                    "momentum": {"from": 0.8, "to": 0.9},
                    "weight_decay": 1e-4,
                    "trust": 0.01,
                    "one_dimensional": True,
                },
            },
            "barlow-twins": {
                **FEATURES,
                "encoder": {"use": "barlow-twins", "redundancy": 0.01, "projection": 8, "hidden": 6},
                "optimizers": "lars",
            },
            "vicreg": {
                **FEATURES,
                "encoder": {
                    "use": "vicreg",
                    "invariance": 10,
                    "variance": 20,
                    "covariance": 2,
                    "projection": 8,
                    "hidden": 6,
                },
            },
            "simsiam": {**FEATURES, "encoder": {"use": "simsiam", "projection": 8, "bottleneck": 3}},
            "moco": {
                **FEATURES,
                "encoder": {
                    "use": "moco",
                    "temperature": 0.1,
                    "momentum": {"from": 0.9, "to": 1.0},
                    "queue": 12,
                    "projection": 8,
                    "hidden": 6,
                },
            },
        },
    },
    "encoders of one view and of none": {
        "dataset": DIGITS,
        "stages": {
            "rotation": {**FEATURES, "encoder": "rotation"},
            "cpc": {
                **FEATURES,
                "encoder": {"use": "cpc", "patch": 3, "stride": 2, "ahead": 1, "layers": 1, "context": 8},
            },
            "supervised": {
                **FEATURES,
                "encoder": {
                    "use": "supervised",
                    "condition": "labels",
                    "smoothing": 0.1,
                },
            },
            "clusters": {
                **FEATURES,
                "encoder": {
                    "use": "supervised",
                    "condition": {"use": "clusters", "encoder": "supervised", "clusters": 3, "samples": 100},
                },
            },
            "untrained": {**FEATURES, "encoder": "untrained"},
        },
    },
    "the pair of byol's views": {
        "dataset": {"use": "image-folder", "root": "$OPTIONS_DATA/flat", "size": 16},
        "stages": {
            "features": {
                **FEATURES,
                "augmentation": [
                    {"use": "byol-views", "view": "first"},
                    {
                        "use": "byol-views",
                        "view": "second",
                        **GENTLE,
                        "saturation": 0.1,
                        "blur": 0.2,
                        "solarize": 0.3,
                    },
                ],
            },
        },
    },
    "moco-views": {
        "dataset": {"use": "image-folder", "root": "$OPTIONS_DATA/flat", "size": 16},
        "stages": {
            "features": {
                **FEATURES,
                "augmentation": {"use": "moco-views", **GENTLE, "saturation": 0.1, "blur": 0.2},
            },
        },
    },
    "alexnet": {
        "dataset": DIGITS,
        "stages": {
            "features": {
                **FEATURES,
                "backbone": {"use": "alexnet", "layer": "fc6", "pool": 1, "dropout": 0.1},
            }
        },
    },
    "efficientnet-lite0": {
        "dataset": DIGITS,
        "stages": {
            "features": {
                **FEATURES,
                "backbone": {"use": "efficientnet-lite0", "pretrained": False, "stem": "original"},
            }
        },
    },
    "two kinds of views": chain()
    | {
        "stages": {
            "features": {
                **FEATURES,
                "backbone": {**BACKBONE, "stem": "original"},
                "augmentation": [{"use": "simclr-views", "flip": 0.0}, "none"],
            }
        }
    },
    "weights from a file": {
        "dataset": DIGITS,
        "stages": {
            "features": {
                **FEATURES,
                "backbone": {
                    **BACKBONE,
                    "stem": "original",
                    "weights": "$OPTIONS_DATA/test_resnet.safetensors",
                    "mean": [0.3],
                    "deviation": [0.4],
                    "prefix": "backbone.",
                },
            }
        },
    },
    "pretrained weights": {
        "dataset": DIGITS,
        "stages": {"features": {**FEATURES, "backbone": {**BACKBONE, "pretrained": True}}},
    },
    "clusters": chain(
        attributes={
            **ATTRIBUTES,
            "classifier": {"use": "mlp", "hidden": 8, "layers": 2, "dropout": 0.2},
            "condition": {
                "use": "clusters",
                "encoder": "features",
                "clusters": 3,
                "samples": 100,
                "restarts": 2,
                "normalise": True,
                "balanced": False,
            },
        },
        gan={
            **CONDITIONAL,
            "condition": {
                "use": "clusters",
                "encoder": "features",
                "clusters": 3,
                "samples": 100,
                "restarts": 2,
                "normalise": True,
                "balanced": False,
            },
            "regularizers": [{"use": "classification", "classifier": "attributes", "place": "after"}],
        },
    ),
    "features as the condition, and as a distance": chain(
        gan={
            **CONDITIONAL,
            "condition": {"use": "latent", "encoder": "features", "normalise": "unit", "samples": 50},
            "fakes": "batch",
            "regularizers": [
                {
                    "use": "perceptual",
                    "network": "features",
                    "layers": ["stage1", "stage3"],
                    "distance": "l1",
                    "weight": {"from": 1.0, "to": 0.5},
                    "every": 2,
                    "rescale": False,
                    "own_step": True,
                    "place": "first",
                }
            ],
        },
    ),
    "features as the condition of couples": chain(
        gan={
            "use": "latent-conditional",
            "generator": EIGENGAN,
            "discriminator": GLOBAL,
            "condition": {"use": "latent", "encoder": "features", "layer": "stage2", "pool": 2},
            "regularizers": ["r1"],
            "adversarial": 2.0,
            "same": 0.5,
            "different": 0.5,
            "saturating": False,
            "discriminator_every": 2,
            **COMMON,
        }
    ),
    "codes": gan(
        condition={"use": "code", "categorical": [3, 2], "continuous": 1, "prior": "normal"},
        regularizers=[
            {
                "use": "mutual-information",
                "weight": {"from": 1.0, "to": 0.5},
                "every": 2,
                "rescale": False,
                "continuous_weight": 0.1,
                "deviation": 1.0,
                "hidden": 8,
                "norm": "batch",
            },
            {"use": "mutual-information", "own_step": True, "place": "before", "hidden": 4},
        ],
        pictures_every=1,
    ),
    "features as what is judged": gan(
        discriminator={
            "use": "projected",
            "network": BACKBONE,
            "layers": ["stage1", "stage2"],
            "mixing": "channels",
            "channels": 4,
            "head": {"use": "linear", "kernel": 3},
        },
        regularizers=[{"use": "r1", "weight": 1.0}],
        ema={"half_life": 10, "networks": ["discriminator"]},
    ),
    "classifiers of images": {
        "dataset": DIGITS,
        "stages": {
            "linear": {"use": "classifier", **COMMON},
            "mlp": {"use": "classifier", "classifier": {"use": "mlp", "hidden": 8}, **COMMON},
        },
    },
    # -- two domains ---------------------------------------------------------------------------------------------------
    "cyclegan": {
        "dataset": {"use": "unpaired", "a": DIGITS, "b": {"use": "digits", "flip": True}},
        "stages": {
            "translation": {
                "use": "cyclegan",
                "translator": {"use": "resnet", "channels": 4, "blocks": 1, "inputs": 1},
                "discriminator": {"use": "patch", "channels": 4, "layers": 1, "norm": "none"},
                "loss": "hinge",
                "augmentation": "diffaugment",
                "cycle": {"from": 10, "to": 5},
                "identity": 0,
                "pool": 3,
                **COMMON,
            }
        },
    },
    "cyclegan over named sources": {
        "dataset": {"a": DIGITS, "b": {"use": "mnist-5k", "size": 8}},
        "stages": {
            "translation": {
                "use": "cyclegan",
                "translator": {"use": "resnet", "channels": 4, "blocks": 0},
                "discriminator": {"use": "patch", "channels": 4, "layers": 1, "norm": "instance"},
                "identity": {"from": 5, "to": 0},
                "pool": 0,
                **COMMON,
            }
        },
    },
    # -- data sets -----------------------------------------------------------------------------------------------------
    "digits": on(use="digits", **HALF),
    "mnist-5k": on(use="mnist-5k", **HALF),
    "mnist": on(use="mnist", root="$OPTIONS_DATA/idx", split="test", download=False, **HALF),
    "fashion-mnist": on(use="fashion-mnist", root="$OPTIONS_DATA/idx", split="test", download=False, **HALF),
    "cifar10": on(use="cifar10", root="$OPTIONS_DATA/cifar10", split="test", download=True, **HALF),
    "afhq": on(use="afhq", root="$OPTIONS_DATA/afhq", split="test", in_memory=False, **HALF),
    "image-folder": on(use="image-folder", root="$OPTIONS_DATA/flat", channels=1, in_memory=False, **HALF),
    "openmoji": on(use="openmoji", groups=["flags"], skin_tones=False, style="black", background="#ffff00", **HALF),
    "gaussian-mixture": {
        "dataset": {
            "use": "gaussian-mixture",
            "layout": "grid",
            "modes": 9,
            "radius": 1.0,
            "deviation": 0.1,
            "samples": 90,
            "seed": 1,
        },
        "stages": {
            "gan": {
                "use": "gan",
                "generator": {"use": "mlp", "latent": 2, "widths": [8]},
                "discriminator": {"use": "mlp", "widths": [8]},
                **COMMON,
            }
        },
    },
    "images not square": on(use="image-folder", root="$OPTIONS_DATA/flat", in_memory=True, size=[12, 16], fit="pad"),
    "celeba": {
        "dataset": {
            "use": "celeba",
            "root": "$OPTIONS_DATA/celeba",
            "split": "all",
            "attributes": ["Male", "Bald"],
            "in_memory": True,
            **HALF,
            "size": 8,
        },
        "stages": {"gan": {**CONDITIONAL, "condition": "attributes"}},
    },
    # -- metrics -------------------------------------------------------------------------------------------------------
    "metrics": gan(
        ema=100,
        evaluate={
            "metrics": [
                {
                    "use": "fid",
                    "samples": 140,
                    "real": 140,
                    "extractor": {"use": "classifier", "training": 3, "seed": 1},
                },
                {"use": "attribute-accuracy", "samples": 20, "training": 3, "seed": 1},
                {"use": "diversity", "samples": 60},
            ],
            "every": 1,
            "best": "diversity",
        },
    ),
    "metrics of an encoder": {
        "dataset": DIGITS,
        "stages": {
            "features": {
                **FEATURES,
                "portrait": 20,
                "evaluate": {
                    "metrics": [
                        {"use": "knn", "k": 5, "temperature": 0.1, "share": 0.5, "seed": 1},
                        {"use": "linear-probe", "weight_decay": 0.1, "iterations": 5, "share": 0.5, "seed": 1},
                        {"use": "neighbours", "distance": "cosine", "samples": 50},
                        {"use": "alignment-uniformity", "alpha": 1.0, "t": 3.0, "samples": 100},
                        {
                            "use": "clusters",
                            "clusters": 4,
                            "samples": 200,
                            "restarts": 1,
                            "normalise": True,
                            "seed": 1,
                        },
                    ],
                    "every": 1,
                },
            },
        },
    },
    "measured by other stages": {
        **gan(),
        "stages": {
            **gan()["stages"],
            "sampled": {
                "use": "evaluation",
                "of": "gan",
                "sampler": "truncation",
                "metrics": [{"use": "diversity", "samples": 60}],
            },
            "images": {
                "use": "evaluation",
                "of": "$OPTIONS_DATA/flat",
                "fit": "stretch",
                "metrics": [{"use": "diversity", "samples": 4}],
            },
        },
    },
    "fid over an encoder's features": chain(
        gan={
            **CONDITIONAL,
            "evaluate": {
                "metrics": [
                    {"use": "fid", "samples": 20, "real": 20, "extractor": {"use": "stage", "stage": "features"}}
                ],
                "every": 1,
            },
        }
    ),
    "metrics of distribution and fidelity": gan(
        dataset={"use": "digits", "holdout": 0.1},
        evaluate={
            "metrics": [
                {"use": "kid", **RANDOM, "real": 30, "subsets": 3, "size": 10, "seed": 1},
                {"use": "precision-recall", **RANDOM, "real": 30, "k": 2},
                {"use": "density-coverage", **RANDOM, "real": 30, "k": 2},
                {"use": "intra-class-fid", **RANDOM, "real": 60},
                {"use": "memorisation", **RANDOM, "real": 30, "pictures": 3},
                {"use": "inception-score", **JUDGE, "splits": 2},
                {"use": "mode-coverage", **JUDGE, "least": 2, "deviations": 2.0, "reference": "data"},
                {"use": "condition-accuracy", **JUDGE},
            ],
            "every": 1,
        },
    ),
    "metrics of ways, of classifiers and of clouds": gan(
        generator={"use": "stylegan2", "channels": 4, "latent": 4, "style": 4, "mapping_layers": 1},
        evaluate={
            "metrics": [
                {
                    "use": "chamfer",
                    **RANDOM,
                    "real": 30,
                    "variant": "embedded",
                    "points": 10,
                    "perplexity": 3.0,
                    "seed": 1,
                },
                {"use": "classification-accuracy-score", "samples": 40, "training": 3, "share": 0.5, "seed": 1},
                {
                    "use": "perceptual-path-length",
                    **RANDOM,
                    "space": "w",
                    "sampling": "end",
                    "epsilon": 1e-3,
                    "trim": 0.1,
                    "seed": 1,
                },
            ],
            "every": 1,
        },
    ),
    "stacked digits, judged by channel": {
        "dataset": {"use": "stacked-mnist", "digits": DIGITS, "length": 30, "seed": 1},
        "stages": {
            "gan": {
                "use": "gan",
                **DCGAN,
                **COMMON,
                "evaluate": {
                    "metrics": [
                        {
                            "use": "mode-coverage",
                            "extractor": {"use": "channels", "extractor": JUDGE["extractor"]},
                            "samples": 20,
                        },
                    ],
                    "every": 1,
                },
            }
        },
    },
    "fid over a network of timm": gan(
        evaluate={
            "metrics": [
                {
                    "use": "fid",
                    "samples": 20,
                    "real": 20,
                    "extractor": {
                        "use": "timm",
                        "model": "test_resnet",
                        "weights": "$OPTIONS_DATA/test_resnet_rgb.safetensors",
                        "prefix": "backbone.",
                        "mean": [0.5],
                        "deviation": [0.25],
                        "side": 32,
                    },
                }
            ]
        }
    ),
    "fid over ImageNet's features": gan(
        evaluate={"metrics": [{"use": "fid", "samples": 4, "real": 4, "extractor": "efficientnet-lite0"}]}
    ),
    "fid over Inception's features": gan(
        evaluate={
            "metrics": [
                {
                    "use": "fid",
                    "samples": 2,
                    "real": 2,
                    "extractor": {
                        "use": "inception",
                        "mode": "legacy_pytorch",
                        "weights": "$OPTIONS_DATA/inception.pth",
                    },
                }
            ]
        }
    ),
}

SAMPLERS: dict[str, dict[str, Any]] = {
    "pull": {"use": "truncation", "strength": 0.5},
    "resample": {"use": "truncation", "method": "resample"},
    "rejection": {
        "use": "discriminator-rejection",
        "burn_in": 20,
        "percentile": 50.0,
        "gamma": 0.5,
        "epsilon": 1e-6,
        "batch_size": 16,
        "tries": 500,
    },
    "rejection below a threshold": {"use": "discriminator-rejection", "variant": "threshold", "threshold": 0.1},
    "best": {"use": "top-k", "share": 0.3},
    "langevin": {
        "use": "latent-langevin",
        "steps": 3,
        "step_size": 0.02,
        "noise": 0.5,
        "decay": 0.5,
        "decay_every": 2,
        "metropolis": True,
    },
}

SLOW = ("fid over Inception's features", "fid over ImageNet's features", "alexnet")

GROUPS = {group.__name__: group for group in (ExperimentSettings, StageSettings, Ema, Evaluate, Checkpoint, Health)}


@pytest.fixture(scope="session")
def data(miniatures: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data sets in their real formats, and weights in files."""
    folder = tmp_path_factory.mktemp("options")
    miniatures.write_idx_folder(folder / "idx")
    miniatures.write_cifar10(folder / "cifar10")
    miniatures.write_afhq(folder / "afhq", per_class=1, side=64)
    miniatures.write_flat_folder(folder / "flat")
    miniatures.write_celeba(folder / "celeba")
    return folder


@pytest.fixture
def pretend(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the specs find their files; pretrained weights are random ones, as nothing can be fetched."""
    monkeypatch.setenv("OPTIONS_DATA", str(data))
    create: Callable[..., torch.nn.Module] = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **options: create(name, **options))


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]]]:
    """Stage -> network -> its parameters before and after training."""
    seen: dict[str, dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]]] = {}

    def recorded(job: Job) -> Any:
        networks = job.algorithm.networks()
        before = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
        outcome = train(job)
        after = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
        seen[job.name] = {name: (before[name], after[name]) for name in networks}
        return outcome

    monkeypatch.setattr(training, "train", recorded)
    return seen


def write_weights(spec: Mapping[str, Any], data: Path) -> None:
    """The files of weights that a spec names, random, under the names that it gives them."""
    text = json.dumps(spec)
    for file, channels in (("test_resnet.safetensors", 1), ("test_resnet_rgb.safetensors", 3)):
        if file in text:
            from safetensors.torch import save_file

            state = timm.create_model("test_resnet", num_classes=0, in_chans=channels).state_dict()
            save_file({f"backbone.{name}": value for name, value in state.items()}, data / file)
    if "inception.pth" in text:
        torch.save(fid_inception().state_dict(), data / "inception.pth")


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_trains(
    case: str, data: Path, tmp_path: Path, pretend: None, weights: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(to_yaml(CASES[case]))
    write_weights(CASES[case], data)
    run = ganvas.train(spec, runs=tmp_path / "runs", device="cpu")
    assert list(weights) == list(run) == list(CASES[case]["stages"])
    for stage, folder in run.folders.items():
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        trains = CASES[case]["stages"][stage]["use"] != "evaluation"
        assert {line["iteration"] for line in lines} == ({1, 2} if trains else {0})
        assert all(math.isfinite(value) for line in lines for value in line.values())
        learns = trains and CASES[case]["stages"][stage].get("encoder") != "untrained"
        assert any(name.startswith("loss/") for name in lines[0]) == learns
        for name, (before, after) in weights[stage].items():
            moved = any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
            assert moved == learns, (stage, name)
            assert all(new.isfinite().all() for new in after), (stage, name)
        evaluate = CASES[case]["stages"][stage].get("evaluate", {})
        metrics = evaluate.get("metrics", CASES[case]["stages"][stage].get("metrics", ()))
        measured = run.metrics(stage)
        assert {metric_of(name) for name in measured} == {metric["use"] for metric in metrics}
        assert all(math.isfinite(metric["value"]) for metric in measured.values())
        if evaluate.get("every") == 1:
            last = {name for name in measured if not name.endswith("+best")}
            assert last <= {name[7:] for name in lines[1] if name.startswith("metric/")}
    assert [record.message for record in caplog.records if "failed in" in record.message] == []


def metric_of(name: str) -> str:
    """``fid@inception`` is of ``fid``, ``neighbours.1`` of ``neighbours``."""
    return re.split("[@.+]", name)[0]


def test_samplers_sample(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(to_yaml(gan()))
    stage = ganvas.train(spec, runs=tmp_path / "runs", device="cpu")["gan"]
    plain = stage.sample(5, seed=1)
    for sampler in SAMPLERS.values():
        images = stage.sample(5, seed=1, sampler=ganvas.build("sampler", sampler, stage))
        assert images.shape == plain.shape
        assert images.isfinite().all()
        assert not torch.equal(images, plain)


def test_a_start_is_where_training_starts(tmp_path: Path, pretend: None, weights: dict[str, Any]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(to_yaml(CASES["started from another stage"]))
    ganvas.train(spec, runs=tmp_path / "runs", device="cpu")
    for name, (before, _) in weights["second"].items():
        _, after = weights["first"][name]
        assert all(torch.equal(old, new) for old, new in zip(after, before, strict=True)), name


# -- what the table covers ---------------------------------------------------------------------------------------------


def values(case: Mapping[str, Any], folder: Path) -> Iterator[Component | GroupValue]:
    """Every component and group of options in a spec."""
    spec = folder / "spec.yaml"
    spec.write_text(to_yaml(case))
    experiment = read(spec)
    waiting: list[Any] = [experiment.settings]
    for stage in experiment.stages.values():
        waiting += [stage.algorithm, stage.settings]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Component | GroupValue):
            yield value
            waiting += value.options.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()


def defaults(component: Component, host: Host) -> dict[str, Any]:
    """The component's options where only those are given that must be."""
    given = {
        name: plain_value(component.options[name]) for name, option in component.declared.items() if option.required
    }
    plain = Validator(host).component(
        Node.of({"use": component.name, **given}, Place("default"), Path.cwd()), component.kind, ""
    )
    assert plain is not None
    return {name: plain_value(value) for name, value in plain.options.items()}


def covered(value: Component | GroupValue, host: Host) -> Iterator[tuple[str, str, str]]:
    """(kind, name, option) of what stands at another value than its default."""
    if isinstance(value, Component):
        kind, name, usual = value.kind, value.name, defaults(value, host)
        yield kind, name, ""
    else:
        kind = "engine"
        name = next(name for name, group in GROUPS.items() if options_of(group) == value.declared)
        usual = {key: plain_value(option.default) for key, option in value.declared.items()}
    for key, option in value.declared.items():
        if option.required or plain_value(value.options[key]) != usual[key]:
            yield kind, name, key


def test_every_option_is_tried(tmp_path: Path, pretend: None) -> None:
    host = Host(tmp_path)
    wanted = {("engine", name, key) for name, group in GROUPS.items() for key in options_of(group)}
    for entry in host.entries():
        wanted.add((entry.kind, entry.name, ""))
        wanted |= {(entry.kind, entry.name, key) for key in options_of(host.resolve(entry))}
    tried = {found for case in CASES.values() for value in values(case, tmp_path) for found in covered(value, host)}
    for sampler in SAMPLERS.values():
        component = Validator(host).component(Node.of(sampler, Place("samplers"), tmp_path), "sampler", "")
        assert component is not None
        tried |= set(covered(component, host))
    lacking = sorted(" ".join(part for part in option if part) for option in wanted - tried)
    assert not lacking, f"no case tries these at another value than the default: {', '.join(lacking)}"
