"""What metrics share that compare generated with real images in a feature space: one pass, kept, over known numbers."""

import functools
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Extractor, Metric, Stage, Use
from ganvas.kinds.data import evenly
from ganvas_plugins.extractors.cache import cached

log = logging.getLogger("ganvas")

BATCH = 64
KEPT = 2**30  # bytes of real features that are kept, in memory for the next metric and in the cache folder


class FeatureMetric(Metric):
    """A metric of the features of generated images against those of real ones.

    All such metrics of an evaluation share one pass over the images for each extractor and number of images. The
    features of the real images are kept in the cache folder, up to 1 GiB.
    """

    def __init__(
        self,
        data: Data,
        *,
        extractor: Annotated[Use[Extractor], Field(description="the feature network")] = "inception",
        samples: Annotated[int, Field(ge=2, description="number of generated images")] = 5000,
        real: Annotated[
            int | None, Field(ge=2, description="number of real images, evenly spread over the data; all if none")
        ] = None,
    ) -> None:
        super().__init__(data)
        self.extractor = fitting(extractor, data)
        self.samples = samples
        self.real = real

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": self.samples, "real": self.real or "all", **self.extractor.protocol}

    def fake_features(self, stage: Stage) -> Tensor:
        """(``samples``, F), on the stage's device."""
        return fake_features(stage, self.extractor, self.samples)

    def real_features(self, stage: Stage) -> Tensor:
        """(``real``, F), on the stage's device."""
        return real_features(stage, self.extractor, self.real)


def fitting(extractor: Use[Extractor], data: Data) -> Extractor:
    """The extractor, built; raises ``ValueError`` where it cannot work with these data."""
    made = extractor()
    made.check(data)
    return made


def known_classes(metric: str, extractor: Extractor) -> None:
    """Raises ``ValueError`` for an extractor that tells no classes apart."""
    if not extractor.classes:
        raise ValueError(
            f"{metric} needs an extractor that tells classes apart, and {extractor.name} tells none; use classifier "
            "(for labelled data), a stage that trained a classifier, efficientnet-lite0 or inception"
        )


def ready(stage: Stage, extractor: Extractor) -> None:
    """The extractor has seen the data, where it asks for that, and is where the stage is."""
    prepare = getattr(extractor, "prepare", None)
    if prepare is not None:
        prepare(stage.data, torch.Generator(stage.device).manual_seed(stage.seed))
    extractor.to(stage.device).eval()


def fake_features(stage: Stage, extractor: Extractor, number: int) -> Tensor:
    """Features (number, F) of the samples that all metrics share."""
    ready(stage, extractor)

    def make() -> Tensor:
        images, _ = stage.fakes(number)
        return features_of(extractor, images, "generated")

    return stage.once(("fake features", number, identity(extractor)), make)


def features_of(extractor: Extractor, images: Tensor, what: str) -> Tensor:
    """Features (N, F) of images (N, C, H, W); raises ``ValueError`` where some are not finite."""
    device = next((tensor.device for tensor in extractor.state_dict().values()), images.device)
    parts = (part.to(device) for part in images.split(BATCH))
    return torch.cat(list(_extracted(extractor, parts, what, torch.arange(len(images), device="cpu"))))


def real_features(stage: Stage, extractor: Extractor, number: int | None, *, held_out: bool = False) -> Tensor:
    """Features (n, F) of real images: ``number`` spread evenly over the data, or all; of held-out ones if asked."""
    ready(stage, extractor)
    data, chosen = _real(stage, number, held_out)

    def make() -> Tensor:
        if len(chosen) * extractor.features * 4 > KEPT:
            return torch.cat(list(real_parts(stage, extractor, number, held_out=held_out)))
        key = {"features": 1, "data": data.identity, "shape": list(data.shape), "real": _asked(data, number)}
        kept = cached(
            f"features-{extractor.name}",
            key | dict(extractor.protocol),
            lambda: {"features": torch.cat(list(real_parts(stage, extractor, number, held_out=held_out)))},
        )
        return kept["features"].to(stage.device)

    return stage.once(("real features", held_out, len(chosen), identity(extractor)), make)


def real_parts(stage: Stage, extractor: Extractor, number: int | None, *, held_out: bool = False) -> Iterator[Tensor]:
    """The same by batches, extracted once per evaluation as long as they may be kept in memory."""
    ready(stage, extractor)
    data, chosen = _real(stage, number, held_out)

    def extracted() -> Iterator[Tensor]:
        images = (batch["images"] for batch in data.batches(BATCH, indices=chosen))
        return _extracted(extractor, images, "held-out real" if held_out else "real", chosen)

    if len(chosen) * extractor.features * 4 > KEPT:
        yield from extracted()
        return
    key = ("extracted", held_out, len(chosen), identity(extractor))
    yield from stage.once(key, lambda: torch.cat(list(extracted()))).split(BATCH)


def identity(extractor: Extractor) -> str:
    """What tells its features from those of all others."""
    return json.dumps(dict(extractor.protocol), sort_keys=True)


def _real(stage: Stage, number: int | None, held_out: bool) -> tuple[Data, Tensor]:
    data = stage.data.held_out() if held_out else stage.data
    assert data is not None  # the metrics that ask for it have looked
    return data, evenly(len(data), len(data) if number is None else number)


def _asked(data: Data, number: int | None) -> int | None:
    return None if number is None or number >= len(data) else number


def _extracted(extractor: Extractor, batches: Iterator[Tensor], what: str, index: Tensor) -> Iterator[Tensor]:
    """The features of images by batches, in float32; says at the end which are not finite, by their ``index`` (N,)."""
    images_right, features_right = [], []
    for images in batches:
        features = extractor(images).float()
        images_right.append(images.flatten(1).isfinite().all(1))
        features_right.append(features.isfinite().all(1))
        yield features
    wrong = ~torch.cat(features_right).cpu()
    if not wrong.any():
        return
    which = index[wrong].tolist()
    named = ", ".join(map(str, which[:5])) + (f" and {len(which) - 5} more" if len(which) > 5 else "")
    if not torch.cat(images_right).cpu()[wrong].all():
        raise ValueError(
            f"{len(which)} of {len(wrong)} {what} images hold numbers that are not finite (images {named}); "
            "what made them diverged"
        )
    raise ValueError(
        f"the features of {len(which)} of {len(wrong)} {what} images are not finite (images {named}); "
        f"the extractor {extractor.name} diverged: use another"
    )


def check_rank(label: str, number: int, features: int, what: str, option: str) -> None:
    """Warns, once, of a covariance of too few images."""
    if number <= features:
        warn_once(
            f"{label}: {number} {what} are too few for {features} features: their covariance has no full rank, and the "
            f"distance is far too large; raise {option.format(features)}, use an extractor with fewer features, or kid"
        )


@functools.cache
def warn_once(line: str) -> None:
    log.warning(line)
