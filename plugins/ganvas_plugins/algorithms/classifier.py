"""Algorithm ``classifier``: learns a condition from frozen features, or from images."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Algorithm, Classifier, Condition, Data, Encoder, Segment, Step, Terms, Trained, Update, Use
from ganvas_plugins.classifiers.targets import check_targets, classification_loss, recovered

MEMORY = 2**30  # bytes of features that are kept instead of computed anew


class ImageClassifier(Classifier):
    """A classifier of images: a frozen encoder, where there is one, and a classifier of its features.

    Gradients pass through the encoder to the images; only the ``head`` has parameters of its own. ``embed`` gives the
    layer before the logits, (N, ``features``): the head's last hidden one, else the encoder's. A linear classifier of
    images has none, and ``features`` is None. ``segments`` say what the logits mean: one class, or attributes.
    """

    def __init__(
        self,
        encoder: Trained[Encoder] | None,
        head: Classifier,
        classes: list[str],
        segments: Sequence[Segment] = (),
    ) -> None:
        super().__init__()
        self.segments = segments
        self.encoder = encoder
        self.head = head
        self.classes = classes
        self.features: int | None = getattr(head, "features", encoder.features if encoder is not None else None)

    def inputs(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> what the head sees: features (N, F), or the images."""
        return images if self.encoder is None else self.encoder.encode(images)

    def embed(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F)."""
        inputs = self.inputs(images)
        return self.head.embed(inputs) if hasattr(self.head, "embed") else inputs

    def logits(self, features: Tensor) -> Tensor:
        """What ``embed`` gives, (N, F) -> (N, K)."""
        return self.head.logits(features) if hasattr(self.head, "embed") else self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.inputs(images))


class ClassifierTraining(Algorithm):
    """Trains a classifier whose targets are a condition.

    Each iteration::

        e = encoder(images)                       frozen, not augmented; the images themselves without an encoder
        minimise CE(classifier(e), y)             for classes y (``one-hot`` segments of the condition)
              or BCE(sigmoid(classifier(e)), y)   for attributes y (``binary`` segments)

    The features of all images are computed once, at the first iteration, unless they take more than 1 GiB.

    Gives ``classifier``, which takes images (N, C, H, W) in [-1, 1] and returns logits (N, K).

    Raises:
        ValueError: the condition is none, or continuous.

    Source: Kinakh et al., "Information-theoretic stochastic contrastive conditional GAN: InfoSCC-GAN", 2021,
    section 3.2.
    """

    gives: ClassVar[Mapping[str, type]] = {"classifier": Classifier}
    optimizers: ClassVar[Mapping[str, Any] | str] = {
        "use": "adam",
        "lr": 3e-3,
        "betas": [0.9, 0.999],
        "weight_decay": 1e-6,
    }

    def __init__(
        self,
        data: Data,
        *,
        encoder: Annotated[
            Trained[Encoder] | None, Field(description="stage whose frozen features are classified; images if none")
        ] = None,
        classifier: Annotated[Use[Classifier], Field(description="the network that is trained")] = "linear",
        condition: Annotated[Use[Condition], Field(description="what it learns")] = "labels",
    ) -> None:
        super().__init__(data)
        self.condition = condition(data)
        check_targets(self.condition)
        shape = data.shape if encoder is None else (encoder.features,)
        head = classifier(shape, self.condition.shape[0])
        self.classifier = ImageClassifier(encoder, head, list(self.condition.names), self.condition.segments)
        self._known: tuple[Tensor, Tensor] | None = None

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"images"}) | self.condition.needs

    def networks(self) -> dict[str, nn.Module]:
        return {"classifier": self.classifier}

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return [Update("classifier", trains=["classifier"], objective=self.classifier_terms)]

    def classifier_terms(self, step: Step) -> Terms:
        features, targets = self.examples(step.batch)
        logits = self.classifier.head(features)
        segments = self.condition.segments
        step.log("scores/accuracy", recovered(logits.detach(), targets, segments).mean())
        return {"classification": classification_loss(logits, targets, segments)}

    def classify(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> logits (N, K)."""
        return self.classifier(images)

    def examples(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the head sees of a batch, (N, F) or images, and its targets (N, K)."""
        encoder = self.classifier.encoder
        if encoder is None or len(self.data) * encoder.features * 4 > MEMORY:
            return self._computed(batch)
        if self._known is None:
            # the same numbers in every process, however training came here, so they are no state of the run
            parts = [self._computed(part) for part in self.data.batches()]
            features, targets = zip(*parts, strict=True)
            self._known = torch.cat(features), torch.cat(targets)
        features, targets = self._known
        return features[batch["index"]], targets[batch["index"]]

    def _computed(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self.classifier.inputs(batch["images"]), self.condition.of(batch)
