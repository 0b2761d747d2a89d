"""``regularizer: classification``."""

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from ganvas import Classifier, Duel, Match, Regularizer, Trained
from ganvas_plugins.classifiers.targets import classification_loss


class Classification(Regularizer):
    """Asks a frozen classifier whether the samples are of the condition that they were made from.

        C = λ E[CE(y, classifier(G(z, y)))],    λ = ``weight``

    Cross entropy for a class (a one-hot stretch of the condition), binary cross entropy, averaged over the attributes,
    for binary ones; several stretches are summed. The classifier is what an earlier stage
    trained (over a frozen encoder): gradients pass through it to the generator, none of its parameters or buffers
    changes. It takes an optimizer step of its own, the first of the iteration, unless ``own_step`` is off.

    Raises:
        ValueError: the generator is not conditional.

    Source: Kinakh et al., "InfoSCC-GAN: Stochastic Contrastive Conditional GAN for conditional image generation based
    on clustering and contrastive learning", 2021.
    """

    joins = frozenset({"generator"})

    def __init__(
        self,
        duel: Duel,
        *,
        classifier: Annotated[Trained[Classifier], Field(description="the stage that trained the classifier")],
        rescale: Annotated[bool, Field(description="multiply a lazy term by every, to keep its mean strength")] = False,
        own_step: Annotated[bool, Field(description="take an optimizer step of its own")] = True,
        place: Annotated[
            Literal["first", "before", "after"],
            Field(description="where its own step stands: first in the iteration, before or after the generator's"),
        ] = "first",
        **options: Any,
    ) -> None:
        super().__init__(duel, rescale=rescale, own_step=own_step, place=place, **options)
        if not getattr(duel.generator, "conditional", False):
            raise ValueError(
                "classification compares samples with the condition they were made from, and the generator has none; "
                "give the stage a condition and a conditional generator"
            )
        self.classifier = classifier

    def penalty(self, match: Match) -> Tensor:
        logits, condition = self.classifier(match.fake), match.condition_fake
        if logits.shape != condition.shape:
            raise ValueError(
                f"the classifier gives {logits.shape[1]} logits and the condition has {condition.shape[1]} numbers; "
                "train it on the condition that the generator is given"
            )
        return classification_loss(logits, condition, match.duel.segments)
