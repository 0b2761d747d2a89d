"""``head: auxiliary-classifier``."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ganvas import Critique, Head, Match, Scheduled, Segment, Terms, Use
from ganvas_plugins.classifiers.targets import classification_loss
from ganvas_plugins.heads.parts import WrappingHead, numbers_of, pooled


class AuxiliaryClassifier(WrappingHead):
    """Beside the score, the discriminator classifies: reals and fakes for itself, fakes for the generator (AC-GAN).

        L_D += λ_D (E[CE(y_r, C(x_r))] + E[CE(y_f, C(x_f))]),    L_G += λ_G E[CE(y_f, C(x_f))]

    C is linear in the features, averaged over the places of maps; y_f is what a fake was made from. λ_D is
    ``discriminator_weight``, λ_G ``generator_weight``; later codes leave C(x_f) out of L_D (``fakes: false``). CE is
    the cross entropy of a class (a one-hot stretch of the condition) or the binary cross entropy of attributes,
    averaged over them; several stretches are summed.

    The critique carries the logits, ``classes`` (N, K); the scores are those of ``head``, which may be conditional too.

    Raises:
        ValueError: the discriminator is given no condition, or a part of it is continuous.

    Source: Odena, Olah & Shlens, "Conditional Image Synthesis With Auxiliary Classifier GANs", 2017, equations 2 and 3.
    """

    gives = frozenset({"classes"})

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        discriminator_weight: Annotated[
            Scheduled, Field(ge=0, description="λ_D, weight of the classification in the discriminator's update")
        ] = 1.0,
        generator_weight: Annotated[
            Scheduled, Field(ge=0, description="λ_G, weight of the classification in the generator's update")
        ] = 1.0,
        fakes: Annotated[bool, Field(description="the discriminator learns to classify the fakes too")] = True,
        head: Annotated[Use[Head], Field(description="what scores the features")] = "linear",
    ) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, numbers_of(condition))
        self.wrap(head(features, condition))
        self.discriminator_weight = Scheduled.of(discriminator_weight)
        self.generator_weight = Scheduled.of(generator_weight)
        self.fakes = fakes

    def check_condition(self, segments: Sequence[Segment]) -> None:
        super().check_condition(segments)
        if any(segment.kind == "continuous" for segment in segments):
            raise ValueError(
                "the discriminator's head classifies samples, and a part of the condition is continuous; "
                "use head: projection, or a condition of classes or attributes (labels, clusters)"
            )

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        critique = self.head(features, condition)
        critique.fields["classes"] = self.classifier(pooled(features))
        return critique

    def terms(self, match: Match) -> Terms:
        terms = super().terms(match)
        if match.side == "generator":
            weight = self.generator_weight.at(match.step)
            return terms | {"classification": weight * self.error(match, "fake", "classes")}
        weight = self.discriminator_weight.at(match.step)
        for which in ("real", "fake") if self.fakes else ("real",):
            terms[f"classification-{which}"] = weight * self.error(match, which, "classes")
        return terms

    @staticmethod
    def error(match: Match, which: str, field: str) -> Tensor:
        """The classification loss of some logits of the critique of the ``real`` or ``fake`` samples."""
        condition = match.condition_real if which == "real" else match.condition_fake
        assert condition is not None
        return classification_loss(match.critique(which).fields[field], condition.flatten(1), match.duel.segments)
