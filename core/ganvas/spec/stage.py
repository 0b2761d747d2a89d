"""The options of a stage that are the engine's own, beside those of its algorithm."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from ganvas.kinds.data import Dataset
from ganvas.kinds.evaluation import Metric, Tracker
from ganvas.kinds.networks import Extractor
from ganvas.kinds.optimizer import Optimizer
from ganvas.kinds.options import Group, Scheduled, Trained, Use
from ganvas.registry.signature import Option, options_of

__all__ = [
    "NAME",
    "Checkpoint",
    "Ema",
    "Evaluate",
    "ExperimentSettings",
    "Health",
    "StageSettings",
    "seconds",
    "settings_of",
]

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_TIME = r"[1-9][0-9]*(s|m|h)"


def _a_name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise ValueError("must be letters, digits, '.', '_' and '-', the first a letter or digit")
    return text


def _a_time(text: str) -> str:
    if not re.fullmatch(_TIME, text):
        raise ValueError("must be a time such as 30s, 5m or 1h, or a number of iterations")
    return text


# Checked by a function instead of a pattern for the sake of the message; the schema tells editors the pattern.
Name = Annotated[str, AfterValidator(_a_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"})]
Time = Annotated[str, AfterValidator(_a_time), WithJsonSchema({"type": "string", "pattern": f"^{_TIME}$"})]


class Ema(Group):
    """An exponential moving average of weights, updated once per iteration; buffers are copied."""

    def __init__(
        self,
        *,
        half_life: Annotated[Scheduled, Field(ge=0, description="images after which old weights count half")],
        networks: Annotated[list[str] | None, Field(description="which networks; the algorithm's own choice")] = None,
    ) -> None: ...


class Evaluate(Group):
    """What is measured, and when besides at the end."""

    def __init__(
        self,
        *,
        metrics: Annotated[list[Use[Metric]], Field(description="the metrics")] = (),  # type: ignore[assignment]
        every: Annotated[int | None, Field(ge=1, description="also every n iterations, while training")] = None,
        best: Annotated[
            str | None, Field(description="a metric: the weights that are best by it are kept beside the last ones")
        ] = None,
    ) -> None: ...


class Checkpoint(Group):
    """When the state is saved, besides at the end and on signals."""

    def __init__(
        self,
        *,
        every: Annotated[
            Annotated[int, Field(ge=1)] | Time,
            Field(description="a time (5m, 30s, 1h) or a number of iterations"),
        ] = "5m",
        keep: Annotated[int, Field(ge=1, description="how many are kept, the newest")] = 2,
    ) -> None: ...


class Health(Group):
    """How a training is looked at while it runs, from time to time; the weights do not depend on it."""

    def __init__(
        self,
        *,
        every: Annotated[
            int | None,
            Field(ge=1, description="iterations between two looks, at log points; 200, or a fiftieth of the steps"),
        ] = None,
        samples: Annotated[int, Field(ge=2, description="real samples that are looked at, and as many fakes")] = 128,
        extractor: Annotated[
            Use[Extractor],
            Field(description="the feature space of diversity; the samples' own numbers where it takes no such data"),
        ] = MappingProxyType({"use": "random", "width": 64, "side": 32}),  # type: ignore[assignment]
    ) -> None: ...


class StageSettings(Group):
    """The engine's options of a stage."""

    def __init__(
        self,
        *,
        steps: Annotated[int, Field(ge=1, description="iterations: passes over the algorithm's updates")],
        batch_size: Annotated[int, Field(ge=1, description="samples per batch, over all processes")] = 64,
        optimizers: Annotated[
            Use[Optimizer] | dict[str, Use[Optimizer]] | None,
            Field(description="one optimizer for all updates, or one by update; the algorithm's own choice"),
        ] = None,
        ema: Annotated[
            Scheduled | Ema | None, Field(ge=0, description="half-life in images of the averaged weights, or none")
        ] = None,
        precision: Annotated[
            Literal["float32", "bf16"], Field(description="of the networks' forward passes; penalties stay float32")
        ] = "float32",
        clip_gradients: Annotated[
            float | None, Field(gt=0, description="largest norm of an update's gradient, or no limit")
        ] = None,
        sync_batch_norm: Annotated[
            bool, Field(description="statistics of batch norm over all processes that train together, not of each")
        ] = False,
        evaluate: Annotated[Evaluate | None, Field(description="metrics, and when")] = None,
        checkpoint: Annotated[Checkpoint, Field(description="when the state is saved")] = MappingProxyType({}),  # type: ignore[assignment]
        health: Annotated[
            Health | None, Field(description="how training is looked at while it runs, or not at all")
        ] = MappingProxyType({}),  # type: ignore[assignment]
        log_every: Annotated[int, Field(ge=1, description="iterations between log points")] = 20,
        pictures_every: Annotated[int | None, Field(ge=1, description="iterations between sample grids")] = None,
        start: Annotated[
            Trained[Any] | None, Field(description="a stage or folder whose equally named networks are the start")
        ] = None,
        seed: Annotated[int | None, Field(ge=0, lt=2**63, description="where it differs from the spec's")] = None,
        dataset: Annotated[
            Use[Dataset] | dict[str, Use[Dataset]] | None, Field(description="where it differs from the spec's")
        ] = None,
    ) -> None: ...


class ExperimentSettings(Group):
    """The top level of a spec, but for its stages."""

    def __init__(
        self,
        *,
        name: Annotated[Name | None, Field(description="the folder of its runs; the file's name")] = None,
        seed: Annotated[int, Field(ge=0, lt=2**63, description="of everything random")] = 0,
        dataset: Annotated[
            Use[Dataset] | dict[str, Use[Dataset]] | None, Field(description="of every stage that names no other")
        ] = None,
        deterministic: Annotated[bool, Field(description="the same bits on an accelerator, at a cost")] = False,
        trackers: Annotated[list[Use[Tracker]], Field(description="besides the JSON lines, which are always on")] = (
            "tensorboard",  # type: ignore[assignment]
        ),
    ) -> None: ...


def settings_of(algorithm: type | None) -> dict[str, Option]:
    """The engine's options of a stage that runs an algorithm: one that trains nothing has no ``steps``."""
    fixed = getattr(algorithm, "steps", None)
    return {name: option for name, option in options_of(StageSettings).items() if name != "steps" or fixed is None}


def seconds(text: str) -> float:
    """``5m`` -> 300."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]
