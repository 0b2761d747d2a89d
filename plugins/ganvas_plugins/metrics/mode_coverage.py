"""Metric ``mode-coverage``: how many of the data's modes are drawn, and how evenly?"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Data, Extractor, Measurement, Metric, Stage, Use
from ganvas_plugins.metrics.comparison import fake_features, fitting, known_classes, real_features

BATCH = 4096


class ModeCoverage(Metric):
    """Modes that samples fall into, and how far their histogram is from what it should be.

    Where the data know their modes (``centres`` (K, D) and ``spread``, as of a mixture of Gaussians), a sample is of
    high quality if it lies within ``deviations`` standard deviations of the nearest centre, and then of that mode:

        modes   = #{c : n_c >= least}, of K, where n_c samples of high quality are of mode c,
        quality = sum_c n_c / number of samples.

    Otherwise a sample is of the mode that the ``extractor`` takes for its class. With q_c = n_c / sum_c n_c, and p the
    uniform distribution or that of the real images, judged likewise (``reference``),

        kl = sum_c q_c log(q_c / p_c),

    0 for equal histograms and log K where everything is of one mode out of K uniform ones; in nats, lower is better.

    Gives ``mode-coverage.modes``, ``.kl`` and ``.quality`` for data that know their modes, else
    ``mode-coverage@EXTRACTOR.modes`` and ``.kl``.

    Raises:
        ValueError: the extractor tells no classes apart, no sample is of high quality, or a mode is drawn that the real
            images do not have.

    Source: Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", 2017,
    section 5 (modes and high quality); Metz et al., "Unrolled Generative Adversarial Networks", 2017, section 3.3.1
    (reverse divergence of the classes).
    """

    def __init__(
        self,
        data: Data,
        *,
        extractor: Annotated[
            Use[Extractor], Field(description="what tells the modes apart, where the data do not know them")
        ] = "classifier",
        samples: Annotated[int, Field(ge=1, description="number of generated images")] = 5000,
        least: Annotated[int, Field(ge=1, description="samples that make a mode covered")] = 1,
        deviations: Annotated[
            float, Field(gt=0, description="of a centre, within which a sample is of high quality")
        ] = 3.0,
        reference: Annotated[
            Literal["uniform", "data"], Field(description="what the histogram is compared with")
        ] = "uniform",
    ) -> None:
        super().__init__(data)
        self.centres: Tensor | None = getattr(next(iter(data.sources.values())), "centres", None)
        self.extractor = None if self.centres is not None else fitting(extractor, data)
        if self.extractor is not None:
            known_classes("mode-coverage", self.extractor)
        self.samples, self.least, self.deviations, self.reference = samples, least, deviations, reference

    @property
    def protocol(self) -> Mapping[str, Any]:
        known = {"samples": self.samples, "least": self.least, "reference": self.reference}
        if self.extractor is None:
            return {**known, "deviations": self.deviations}
        return {**known, **self.extractor.protocol}

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        counts = self._counts(stage, real=False)
        number = float(counts.sum())
        if not number:
            raise ValueError(
                f"none of {self.samples} samples lies within {self.deviations:g} deviations of a mode; train longer"
            )
        label = "mode-coverage" if self.extractor is None else f"mode-coverage@{self.extractor.name}"
        found = {
            f"{label}.modes": Measurement(float((counts >= self.least).sum()), better="higher"),
            f"{label}.kl": Measurement(divergence(counts, self._reference(stage, counts)), better="lower"),
        }
        if self.extractor is None:
            found[f"{label}.quality"] = Measurement(number / self.samples, better="higher")
        return found

    def _reference(self, stage: Stage, counts: Tensor) -> Tensor:
        if self.reference == "uniform":
            return torch.ones_like(counts)
        expected = self._counts(stage, real=True)
        if unknown := ((counts > 0) & (expected == 0)).nonzero().flatten().tolist():
            raise ValueError(
                f"no real image is of mode {unknown[0]}, but {int(counts[unknown[0]])} samples are: the divergence is "
                "infinite; use reference: uniform"
            )
        return expected

    def _counts(self, stage: Stage, *, real: bool) -> Tensor:
        """How many samples, or real images, are of each mode, (K,) in float64."""
        if self.centres is not None:
            spread = getattr(next(iter(stage.data.sources.values())), "spread")  # noqa: B009  # no Dataset's own
            points = (batch["images"] for batch in stage.data.batches(BATCH))
            parts = points if real else stage.fakes(self.samples)[0].split(BATCH)
            return sum(near(part, self.centres, self.deviations * spread) for part in parts)
        assert self.extractor is not None
        features = (
            real_features(stage, self.extractor, None) if real else fake_features(stage, self.extractor, self.samples)
        )
        classes = self.extractor.logits(features).argmax(1)
        return torch.bincount(classes, minlength=self.extractor.classes).double().cpu()


def near(points: Tensor, centres: Tensor, reach: float) -> Tensor:
    """How many points (N, ...) lie within reach of each of the centres (K, D), each of its nearest one: (K,)."""
    apart = torch.cdist(points.flatten(1).double(), centres.to(points.device).double())
    distance, mode = apart.min(dim=1)
    return torch.bincount(mode[distance <= reach], minlength=len(centres)).double().cpu()


def divergence(counts: Tensor, reference: Tensor) -> float:
    """KL(q || p) in nats of the histograms of two counts (K,)."""
    drawn, expected = counts / counts.sum(), reference / reference.sum()
    return float((torch.xlogy(drawn, drawn) - torch.xlogy(drawn, expected)).sum())
