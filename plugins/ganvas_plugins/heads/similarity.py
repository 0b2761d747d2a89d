"""What the heads that compare embeddings of samples by their classes share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ganvas import Critique, Head, Match, Scheduled, Segment, Terms, Use, gather
from ganvas_plugins.heads.parts import WrappingHead, numbers_of, pooled, wide

__all__ = ["SimilarityHead"]


class SimilarityHead(WrappingHead):
    """Embeds samples and their conditions on the unit sphere; a subclass compares them.

    ``contrast`` is the term of reals in the discriminator's update, of fakes in the generator's. Samples are of one
    class where their conditions are equal in all numbers.
    """

    gives = frozenset({"embeddings"})
    term: str

    def __init__(
        self,
        features: int,
        condition: tuple[int, ...] | None,
        *,
        embedding: Annotated[int, Field(ge=1, description="width of the embeddings that are compared")] = 512,
        discriminator_weight: Annotated[
            Scheduled, Field(ge=0, description="λ_D, weight of the term in the discriminator's update")
        ] = 1.0,
        generator_weight: Annotated[
            Scheduled, Field(ge=0, description="λ_G, weight of the term in the generator's update")
        ] = 1.0,
        head: Annotated[Use[Head], Field(description="what scores the features")] = "linear",
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(features, embedding)
        self.proxies = nn.Linear(numbers_of(condition), embedding, bias=False)
        self.wrap(head(features, condition))
        self.discriminator_weight = Scheduled.of(discriminator_weight)
        self.generator_weight = Scheduled.of(generator_weight)

    def check_condition(self, segments: Sequence[Segment]) -> None:
        super().check_condition(segments)
        if any(segment.kind == "continuous" for segment in segments):
            raise ValueError(
                "the discriminator's head compares samples of equal conditions, and a part of the condition is "
                "continuous; use head: projection, or a condition of classes or attributes (labels, clusters)"
            )

    @abstractmethod
    def contrast(self, to_proxy: Tensor, to_others: Tensor, alike: Tensor) -> Tensor:
        """The term of a batch.

        Args:
            to_proxy: (N,), the cosine of each sample's embedding and its own condition's.
            to_others: (N, N), the cosines of the samples' embeddings.
            alike: (N, N), whether two samples are of one class; True on the diagonal.
        """

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        critique = self.head(features, condition)
        critique.fields["embeddings"] = self.embed(pooled(features))
        return critique

    def terms(self, match: Match) -> Terms:
        if match.side == "discriminator":
            which, condition, weight = "real", match.condition_real, self.discriminator_weight
        else:
            which, condition, weight = "fake", match.condition_fake, self.generator_weight
        assert condition is not None
        condition = gather(wide(condition.flatten(1)))
        embeddings = gather(match.critique(which).embeddings)
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, proxies = normalize(wide(embeddings), dim=1), normalize(self.proxies(condition), dim=1)
            alike = (condition[:, None] == condition[None]).all(-1)
            value = self.contrast((embeddings * proxies).sum(1), embeddings @ embeddings.T, alike)
        return super().terms(match) | {self.term: weight.at(match.step) * value}
