"""Algorithm ``self-supervised``: trains an encoder without labels."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganvas import (
    Algorithm,
    Augmentation,
    Backbone,
    Data,
    Embedding,
    Encoder,
    Incidental,
    Preview,
    Progress,
    Stage,
    Step,
    Terms,
    Update,
    Use,
)
from ganvas_plugins import embedding


class SelfSupervised(Algorithm):
    """Trains an encoder on views of the images.

    Each iteration::

        v_i = augmentation_i(images)             one view per augmentation, drawn anew
        minimise encoder.objective(v_1, ..., v_V)
        encoder.after_update(progress)           where the method has one (targets that follow, queues)

    A method may look at other fields of the batch than the images (``supervised``), or at no view at all and train
    nothing (``untrained``).

    Two scores tell whether the features of an objective, L2-normalised, collapse:

    - ``scores/embedding-deviation``: sqrt(F) times the mean over the F dimensions of their standard deviation. Near 1
      for features that spread over the sphere, 0 when all images fall on one point (Chen & He, "Exploring Simple
      Siamese Representation Learning", 2021, section 4.1).
    - ``scores/effective-rank``: exp(-sum_i p_i log p_i), where p_i is the share of the i-th singular value of their
      matrix (M, F). At most min(M, F), 1 when all images fall on one line (Roy & Vetterli, "The Effective Rank: A
      Measure of Effective Dimensionality", 2007, definition 1). At log points only.

    When it has finished it draws the features of some images once, by t-SNE (van der Maaten & Hinton, "Visualizing Data
    using t-SNE", 2008), and gives them to trackers that show feature spaces (TensorBoard's projector).

    Gives ``encoder``. Images are (N, C, H, W) in [-1, 1], features (N, F).

    Source: that of the encoder; the loop is the same for all of them.
    """

    gives: ClassVar[Mapping[str, type]] = {"encoder": Encoder}
    optimizers: ClassVar[Mapping[str, Any] | str] = {"use": "adam", "lr": 3e-4, "betas": [0.9, 0.999]}

    def __init__(
        self,
        data: Data,
        *,
        encoder: Annotated[Use[Encoder], Field(description="the self-supervised method")] = "simclr",
        backbone: Annotated[Use[Backbone], Field(description="the network that it trains")] = MappingProxyType(
            {"use": "timm", "model": "resnet18"}
        ),
        augmentation: Annotated[
            Use[Augmentation] | list[Use[Augmentation]] | None,
            Field(description="makes the views: one for all, or one per view; the encoder's own if left out"),
        ] = None,
        portrait: Annotated[
            int,
            Incidental,
            Field(
                ge=0, le=2000, description="images in the final t-SNE picture and TensorBoard's projector; 0 draws none"
            ),
        ] = 1000,
    ) -> None:
        super().__init__(data)
        self.encoder = encoder(backbone(data.shape), data)
        views = len(type(self.encoder).views)
        chosen = augmentation if isinstance(augmentation, list) else [augmentation]
        if views and (not chosen or chosen[0] is None):
            raise ValueError(f"no augmentation makes the views; use {list(type(self.encoder).views)}")
        if len(chosen) == 1:
            chosen = chosen * views
        if len(chosen) != views:
            raise ValueError(
                f"{type(self.encoder).__name__} compares {views} views, but {len(chosen)} augmentations are given; "
                f"give {views}, or one for all"
            )
        self.augmentations = nn.ModuleList(make() for make in chosen)
        self.points = portrait

    @classmethod
    def defaults(cls, chosen: Mapping[str, type]) -> Mapping[str, Any]:
        return {"augmentation": list(chosen["encoder"].views)}

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"images"}) | self.encoder.needs

    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def updates(self) -> list[Update | tuple[Update, ...]]:
        moves = type(self.encoder).after_update is not Encoder.after_update
        return [
            Update(
                "encoder",
                trains=["encoder"],
                objective=self.encoder_terms,
                # reading the progress makes training depend on its length, so only a method that needs it gets it
                after=(lambda step: self.encoder.after_update(Progress(step))) if moves else None,
            )
        ]

    def views(self, images: Tensor, rng: torch.Generator) -> list[Tensor]:
        """The views of a batch, in the order that the encoder takes them."""
        with torch.no_grad():
            return [augmentation(images, "view", rng) for augmentation in self.augmentations]

    def encoder_terms(self, step: Step) -> Terms:
        fields = {name: step.batch[name] for name in self.encoder.needs}
        terms = self.encoder.objective(*self.views(step.batch["images"], step.rng), **fields)
        if self.encoder.embeddings is not None:
            directions = F.normalize(self.encoder.embeddings.float(), dim=1)
            step.log(
                "scores/embedding-deviation", directions.std(0, correction=0).mean() * math.sqrt(directions.shape[1])
            )
            if step.logging:
                step.log("scores/effective-rank", effective_rank(directions))
        return terms

    def encode(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> features (N, F)."""
        return self.encoder.encode(images)

    def previews(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        images = batch["images"][:8]
        views = self.views(images, rng)[:2]
        return {"views": Preview(torch.cat(views), columns=len(images))} if views else {}

    def portrait(self, stage: Stage) -> dict[str, Preview]:
        """The features of images spread evenly over the data, by t-SNE; coloured by class where there are classes."""
        if self.points == 0 or len(stage.data) < 4:  # fewer have no neighbourhoods
            return {}
        encoded = stage.encoded(self.points)
        names = list(stage.data.classes)
        labels = encoded.labels.cpu().numpy() if encoded.labels is not None and names else None
        points = embedding.tsne(encoded.features.cpu().numpy(), stage.seed)
        picture = torch.from_numpy(embedding.scatter(points, labels, names)).permute(2, 0, 1) / 127.5 - 1
        images = torch.cat([batch["images"].cpu() for batch in stage.data.batches(indices=encoded.index)])
        told = None if labels is None else [names[label] for label in labels]
        return {"embedding": Preview(picture[None], 1, Embedding(encoded.features, images, told))}


def effective_rank(matrix: Tensor) -> Tensor:
    """exp of the entropy of the singular values' shares (Roy & Vetterli, 2007): of K equal ones K, of one 1."""
    # What is no number is the objective's to complain of, not the decomposition's.
    values = torch.linalg.svdvals(matrix.nan_to_num(0, 0, 0))
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp()
