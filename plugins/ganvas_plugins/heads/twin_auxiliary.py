"""``head: twin-auxiliary``."""

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from ganvas import Critique, Match, Scheduled, Terms
from ganvas_plugins.heads.auxiliary_classifier import AuxiliaryClassifier
from ganvas_plugins.heads.parts import pooled


class TwinAuxiliary(AuxiliaryClassifier):
    """AC-GAN with a second classifier, of fakes alone, that the generator works against (TAC-GAN).

        L_D += λ_D (E[CE(y_r, C(x_r))] + E[CE(y_f, C(x_f))]) + μ_D E[CE(y_f, C'(x_f))]
        L_G += λ_G E[CE(y_f, C(x_f))] - μ_G E[CE(y_f, C'(x_f))]

    C alone rewards fakes that are easy to classify. The twin C' learns how far the fakes' classes can be told apart,
    and the generator is paid for making that hard: what is left of both is that the classes of fakes overlap as the
    classes of reals do. λ_D and λ_G are ``discriminator_weight`` and ``generator_weight``, μ_D and μ_G those of the
    twin; the paper has one λ for all. Everything else is as in ``auxiliary-classifier``; the twin's logits are
    ``twin_classes`` (N, K).

    Raises:
        ValueError: the discriminator is given no condition, or a part of it is continuous.

    Source: Gong et al., "Twin Auxiliary Classifiers GAN", 2019, section 3.
    """

    gives = frozenset({"classes", "twin_classes"})

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        twin_discriminator_weight: Annotated[
            Scheduled, Field(ge=0, description="μ_D, weight of the twin's error in the discriminator's update")
        ] = 1.0,
        twin_generator_weight: Annotated[
            Scheduled, Field(ge=0, description="μ_G, weight of the twin's error, subtracted, in the generator's update")
        ] = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(features, condition, **options)
        self.twin = nn.Linear(features, self.classifier.out_features)
        self.twin_discriminator_weight = Scheduled.of(twin_discriminator_weight)
        self.twin_generator_weight = Scheduled.of(twin_generator_weight)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        critique = super().forward(features, condition)
        critique.fields["twin_classes"] = self.twin(pooled(features))
        return critique

    def terms(self, match: Match) -> Terms:
        discriminator = match.side == "discriminator"
        weight = (self.twin_discriminator_weight if discriminator else self.twin_generator_weight).at(match.step)
        error = self.error(match, "fake", "twin_classes")
        return super().terms(match) | {"twin-classification": weight * (error if discriminator else -error)}
