"""Metric ``intra-class-fid``: the Fréchet distance within each class."""

import torch
from torch import Tensor

from ganvas import Algorithm, Condition, Measurement, Stage
from ganvas.kinds.data import evenly
from ganvas_plugins.metrics.attribute_accuracy import balanced, class_condition
from ganvas_plugins.metrics.comparison import FeatureMetric, check_rank, features_of, identity, ready, real_features
from ganvas_plugins.metrics.frechet import Moments, frechet_distance


class IntraClassFid(FeatureMetric):
    """The Fréchet distance between the generated and the real images of a class, averaged over the classes.

    (1/K) sum_c FID(fakes made under c, real images of c), with ``samples`` / K fakes of each class. 0 for equal
    moments, lower is better. Unlike ``fid`` it sees samples that are good but of another class than asked for, and a
    class that is one picture. The classes are those of the stage's condition, labels or clusters; those with fewer than
    two real images are left out. ``worst`` is the largest of the distances.

    Gives ``intra-class-fid@EXTRACTOR`` and ``intra-class-fid@EXTRACTOR.worst``.

    Raises:
        ValueError: the condition is not one class per image, there are fewer than two samples of each, or the extractor
            cannot work with these data.

    Source: Miyato & Koyama, "cGANs with Projection Discriminator", 2018, section 4 (intra FID; there of 5,000 samples
    of each class).
    """

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        condition = class_condition("intra-class-fid", algorithm)
        if self.samples < 2 * condition.segments[0].size:
            raise ValueError(
                f"{self.samples} samples make fewer than two of each of {condition.segments[0].size} classes; "
                "raise samples"
            )

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        self.check(stage.algorithm)
        condition: Condition = stage.algorithm.condition
        real, fake = self._real(stage, condition), self._fake(stage, condition)
        label = f"intra-class-fid@{self.extractor.name}"
        distances = []
        for here, there in zip(real, fake, strict=True):
            if here.number > 1:
                check_rank(
                    label,
                    there.number,
                    self.extractor.features,
                    "generated images of a class",
                    "samples above {} for each class",
                )
                distances.append(frechet_distance(here, there))
        if not distances:
            raise ValueError("no class has two real images; take more of them (real)")
        return {
            label: Measurement(sum(distances) / len(distances), better="lower"),
            f"{label}.worst": Measurement(max(distances), better="lower"),
        }

    def _fake(self, stage: Stage, condition: Condition) -> list[Moments]:
        ready(stage, self.extractor)
        rows = balanced(condition, self.samples, stage)

        def make() -> Tensor:
            images = stage.sample(self.samples, condition=rows, seed=stage.seed)
            return features_of(self.extractor, images, "generated")

        features = stage.once(("balanced features", self.samples, identity(self.extractor)), make)
        return _moments(features, rows.argmax(1), condition.segments[0].size)

    def _real(self, stage: Stage, condition: Condition) -> list[Moments]:
        features = real_features(stage, self.extractor, self.real)
        chosen = evenly(len(stage.data), len(features))
        classes = [condition.of(batch) for batch in stage.data.batches(indices=chosen)]
        known = torch.cat([rows.argmax(1) for rows in classes if rows is not None])
        return _moments(features, known, condition.segments[0].size)


def _moments(features: Tensor, classes: Tensor, number: int) -> list[Moments]:
    """Those of each class, of features (N, F) and classes (N,)."""
    classes = classes.to(features.device)
    return [Moments.of(features[classes == one]) for one in range(number)]
