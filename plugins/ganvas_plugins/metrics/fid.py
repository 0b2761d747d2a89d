"""Metric ``fid``: the Fréchet distance between features of real and generated images."""

import logging
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Extractor, Measurement, Metric, Stage, Use
from ganvas_plugins.extractors.cache import cached
from ganvas_plugins.metrics.frechet import Moments, frechet_distance

log = logging.getLogger("ganvas")

BATCH = 64


class Fid(Metric):
    """Fréchet distance between the Gaussians fitted to the features of real and of generated images.

    FID = |m_r - m_f|^2 + tr(C_r + C_f - 2 (C_r C_f)^(1/2)); 0 for equal moments, lower is better.

    It is biased upwards by small numbers of samples, so only numbers with the same protocol compare: extractor, number
    of fakes (``samples``) and of reals (``real``). ``fid@inception`` with clean-fid's resize is the one that papers
    quote. The moments of the real images are kept in the cache folder.

    Gives ``fid@EXTRACTOR``.

    Raises:
        ValueError: the extractor cannot work with these data.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017.
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
        self.extractor = extractor()
        self.samples = samples
        self.real = real
        check = getattr(self.extractor, "check", None)
        if check is not None:
            check(data)

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"samples": self.samples, "real": self.real or "all", **self.extractor.protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        prepare = getattr(self.extractor, "prepare", None)
        if prepare is not None:
            prepare(stage.data, torch.Generator(stage.device).manual_seed(stage.seed))
        self.extractor.to(stage.device).eval()
        if self.samples <= self.extractor.features:
            log.warning(
                "fid@%s: %d samples of %d features make a covariance without full rank; use more than %d samples",
                self.extractor.name,
                self.samples,
                self.extractor.features,
                self.extractor.features,
            )
        fake = Moments()
        images, _ = stage.fakes(self.samples)
        for part in images.split(BATCH):
            fake.update(self.extractor(part.to(stage.device)))
        value = frechet_distance(self._real(stage.data, stage.device), fake)
        return {f"fid@{self.extractor.name}": Measurement(value, better="lower")}

    def _real(self, data: Data, device: torch.device) -> Moments:
        key = {"moments": 1, "data": data.identity, "shape": list(data.shape), "real": self.real}

        def make() -> dict[str, Tensor]:
            moments = Moments()
            for images in _images(data, self.real):
                moments.update(self.extractor(images.to(device)))
            return {
                "number": torch.tensor(moments.number),
                "mean": moments.mean,
                "deviations": moments.covariance * (moments.number - 1),
            }

        kept = cached(f"moments-{self.extractor.name}", key | dict(self.extractor.protocol), make)
        return Moments(int(kept["number"]), kept["mean"], kept["deviations"])


def _images(data: Data, limit: int | None) -> Iterator[Tensor]:
    """The real images by batches: all, or ``limit`` evenly spread ones where there are more."""
    number = len(data)
    for batch in data.batches(BATCH):
        index = batch["index"]
        images = batch["images"]
        if limit is not None and limit < number:
            images = images[index * limit // number != (index + 1) * limit // number]
        if len(images):
            yield images
