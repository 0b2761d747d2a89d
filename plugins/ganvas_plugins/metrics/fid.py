"""Metric ``fid``: the Fréchet distance between features of real and generated images."""

import torch
from torch import Tensor

from ganvas import Measurement, Stage
from ganvas_plugins.extractors.cache import cached
from ganvas_plugins.metrics.comparison import FeatureMetric, check_rank, real_parts
from ganvas_plugins.metrics.frechet import Moments, frechet_distance


class Fid(FeatureMetric):
    """Fréchet distance between the Gaussians fitted to the features of real and of generated images.

    FID = |m_r - m_f|^2 + tr(C_r + C_f - 2 (C_r C_f)^(1/2)); 0 for equal moments, lower is better.

    It is biased upwards by small numbers of samples, so only numbers with the same protocol compare: extractor, number
    of fakes (``samples``) and of reals (``real``). ``fid@inception`` with clean-fid's resize is the one that papers
    quote. The moments of the real images are kept in the cache folder.

    Gives ``fid@EXTRACTOR``.

    Raises:
        ValueError: the extractor cannot work with these data, or some features are not finite.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017.
    """

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        fake = Moments.of(self.fake_features(stage))
        real = self._real(stage)
        label = f"fid@{self.extractor.name}"
        check_rank(label, fake.number, self.extractor.features, "generated images", "samples above {}")
        check_rank(label, real.number, self.extractor.features, "real images", "their number (real) above {}")
        return {label: Measurement(frechet_distance(real, fake), better="lower")}

    def _real(self, stage: Stage) -> Moments:
        data = stage.data
        key = {"moments": 2, "data": data.identity, "shape": list(data.shape), "real": self.real}

        def make() -> dict[str, Tensor]:
            moments = Moments()
            for part in real_parts(stage, self.extractor, self.real):
                moments.update(part)
            return {
                "number": torch.tensor(moments.number),
                "mean": moments.mean,
                "deviations": moments.covariance * (moments.number - 1),
            }

        kept = cached(f"moments-{self.extractor.name}", key | dict(self.extractor.protocol), make)
        return Moments(int(kept["number"]), kept["mean"], kept["deviations"])
