"""Contracts of the networks: generator, translator, discriminator, head, backbone, encoder, classifier, extractor.

Images are float (N, C, H, W) in [-1, 1], any H, W and C; latents one flat tensor (N, D); conditions float, usually
(N, K), or None where the stage has none. ``shape`` is (C, H, W) of a sample; ``condition`` is the shape of one
condition without the batch, such as ``(10,)``, or None.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from ganvas.kinds.options import Progress
from ganvas.kinds.records import Critique, Generated, Latents, Terms

if TYPE_CHECKING:
    from ganvas.kinds.data import Data, Segment
    from ganvas.kinds.duel import Match

__all__ = [
    "Backbone",
    "Classifier",
    "Discriminator",
    "Encoder",
    "Extractor",
    "Generator",
    "Head",
    "Network",
    "Translator",
    "place",
]

Shape = tuple[int, ...]


class Network(nn.Module):
    """What the kinds of networks share.

    Attributes:
        channels_last: the engine lays its weights out channels-last, which makes convolutions faster (and a ``.view``
            that merges dimensions of an activation fail: use ``flatten``). The numbers are the same up to rounding.
    """

    channels_last: bool = False


class Generator(Network):
    """Latents and a condition -> samples. Built with ``(shape, condition)``.

    A generator that makes its samples of styles, one for each layer, offers ``styles`` and ``synthesize`` as well, of
    which ``forward`` is made; others leave them alone.

    Attributes:
        latents: sizes and priors of the latents, by named group.
        sample_shape: (C, H, W) of what it makes.
        conditional: whether the network uses its condition.
    """

    latents: Latents
    sample_shape: Shape
    conditional: bool = False

    @abstractmethod
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor | Generated:
        """(N, D) and (N, K) or None -> (N, C, H, W) in [-1, 1], or ``Generated`` with named extras.

        While training, samples may leave that range, where the last layer is linear.
        """

    def truncated(self, latents: Tensor, condition: Tensor | None, strength: float) -> Tensor | Generated:
        """Samples that differ less from one another: strength 1 is ``forward``, 0 gives one sample per condition.

        The latents are pulled towards the prior's mean. A generator with styles pulls these towards theirs.
        """
        return self(self.latents.truncate(latents, strength), condition)

    def styles(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, D) and (N, K) or None -> a style for each of the L layers, (N, L, W)."""
        raise NotImplementedError(f"{type(self).__name__} has no styles")

    def synthesize(self, styles: Tensor) -> Tensor:
        """Styles (N, L, W) -> samples (N, C, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} has no styles")

    def terms(self, match: Match) -> Terms:
        """Further terms, weighted, of the objective of ``match.side``.

        None, unless the generator has some (a divergence of what it samples inside).
        """
        return {}


def place(module: nn.Module, device: torch.device) -> None:
    """Moves a module to a device, its networks in the memory layout they ask for."""
    module.to(device)
    for inner in module.modules():
        if isinstance(inner, Network) and inner.channels_last:
            inner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Translator(Network):
    """Image -> image. Built with ``(shape, condition)``, the shape of its output; ``inputs`` may differ in channels.

    Attributes:
        sample_shape: (C, H, W) of what it makes, where it says so.
        conditional: whether the network uses its condition.
    """

    sample_shape: Shape
    conditional: bool = False

    @abstractmethod
    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), both in [-1, 1]."""

    def terms(self, match: Match) -> Terms:
        """Further terms, weighted, of the objective of ``match.side``.

        None, unless the translator has some (a divergence of what it samples inside).
        """
        return {}


class Head(nn.Module):
    """Trunk features -> scores. Built with ``(features, condition)``: F, and the condition's shape or None.

    Attributes:
        conditional: whether the scores depend on the condition.
        gives: extra fields of its critiques. A head that wraps another gives and demands what that one does.
        demands: those that the loss must use, or the head is trained wrong.
    """

    conditional: bool = False
    gives: frozenset[str] = frozenset()
    demands: frozenset[str] = frozenset()

    @abstractmethod
    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        """(N, F, *S) -> a critique with scores (N, *S)."""

    def terms(self, match: Match) -> Terms:
        """Further terms, weighted, of the objective of ``match.side`` (the classes' loss of AC-GAN).

        Those of the head that it wraps as ``self.head``, unless it has others; a head with terms of its own adds them
        to these.
        """
        head = getattr(self, "head", None)
        return head.terms(match) if isinstance(head, Head) else {}

    def check_condition(self, segments: Sequence[Segment]) -> None:
        """Raises ``ValueError`` where its terms cannot use a condition of this meaning.

        Called when the duel is built, if the algorithm says what the condition's numbers mean.
        """
        head = getattr(self, "head", None)
        if isinstance(head, Head):
            head.check_condition(segments)


class Discriminator(Network):
    """Samples -> critique: a trunk with a head. Built with ``(shape, condition)``.

    Attributes:
        conditional: whether the scores depend on the condition.
        head: the head, where there is one; ``gives``, ``demands`` and ``terms`` are its own.
        layers: names of the layers that its critiques carry, from the first to the last.
    """

    conditional: bool = False
    layers: Sequence[str] = ()

    @abstractmethod
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        """(N, C, H, W) -> a critique with scores (N, *S): one per sample (S empty) or one per patch."""

    def terms(self, match: Match) -> Terms:
        """Further terms, weighted, of the objective of ``match.side``: those of its head, unless it has others."""
        head = getattr(self, "head", None)
        return head.terms(match) if isinstance(head, Head) else {}


class Backbone(Network):
    """An image network without a head. Built with ``(shape)``.

    Attributes:
        features: F, the width of what ``forward`` returns.
        layers: names of the maps that ``feature_maps`` gives, from the finest to the coarsest, where one may choose
            among them.
    """

    features: int
    layers: Sequence[str] = ()

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, F)."""

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(N, C, H, W) -> named intermediate maps (N, F_l, H_l, W_l), from the finest to the coarsest.

        ``layers`` limits them to those named, and the work to what these need; names are looked up with
        ``named_layers``.
        """
        raise NotImplementedError(f"{type(self).__name__} offers no feature maps")

    def named_layers(self, layers: Sequence[str] | None = None) -> list[str]:
        """Those of ``self.layers`` that are asked for, in the network's order; all if None.

        Raises:
            ValueError: a name that is none of them, or there are none.
        """
        unknown = [name for name in layers or () if name not in self.layers]
        if unknown:
            known = f"its layers are {', '.join(self.layers)}" if self.layers else "it offers no feature maps"
            raise ValueError(f"{type(self).__name__} has no layer {unknown[0]!r}; {known}")
        return [name for name in self.layers if layers is None or name in layers]


class Encoder(nn.Module):
    """A method that trains a backbone. Built with ``(backbone, data)``.

    Attributes:
        views: the recommended augmentation of each view, as it would stand in a spec; their number is the number of
            views that ``objective`` takes.
        needs: fields of the batch that ``objective`` takes besides the views, by name: ``labels``.
        features: F, the width of what ``encode`` returns.
        embeddings: (M, F), the features in the last objective, detached, for those who watch for collapse; None where
            there are none.
    """

    views: ClassVar[Sequence[str | dict[str, Any]]]
    needs: frozenset[str] = frozenset()
    features: int
    embeddings: Tensor | None = None

    @abstractmethod
    def objective(self, *views: Tensor, **fields: Tensor) -> Terms:
        """One batch (N, C, H, W) per view, and the fields it ``needs`` -> weighted terms; none where nothing trains."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, F)."""

    def forward(self, images: Tensor) -> Tensor:
        return self.encode(images)

    def feature_maps(self, images: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) -> named maps (N, F_l, H_l, W_l): those of ``self.backbone``, where the encoder keeps it so."""
        backbone = getattr(self, "backbone", None)
        if not isinstance(backbone, Backbone):
            raise NotImplementedError(f"{type(self).__name__} offers no feature maps")
        return backbone.feature_maps(images)

    def after_update(self, progress: Progress) -> None:
        """Runs after each optimizer step, without gradients (targets that follow).

        Args:
            progress: the share of the steps done, in [0, 1); schedules are read at it.
        """


class Classifier(nn.Module):
    """Features or images -> classes or attributes. Built with ``(shape, outputs)``: of one input, and how many logits.

    Attributes:
        classes: names of the outputs.
        features: width of what ``embed(images)`` gives, the layer before the logits, where it is offered. With it goes
            ``logits(features)``, which makes of that what ``forward`` gives.
    """

    classes: Sequence[str] = ()

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(N, *shape) -> logits (N, K)."""


class Extractor(nn.Module):
    """The feature network of a metric.

    Attributes:
        name: what stands after the ``@`` of a metric's name, with input size, range and resize policy where they are
            not the extractor's only ones.
        features: F.
        classes: how many classes ``logits`` tells apart, one of which each image is of; 0 where there are none.
    """

    name: str
    features: int
    classes: int = 0

    def check(self, data: Data) -> None:
        """Raises ``ValueError`` for data whose images it does not take."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> float features (N, F)."""

    def unrounded(self, images: Tensor) -> Tensor:
        """The same without rounding the images to 8 bits, where ``forward`` does that.

        For what differentiates: two images that are close together are often the same picture once they are rounded.
        """
        return self(images)

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, F) -> logits (N, K) of the classes that the network tells apart."""
        raise NotImplementedError(f"the extractor {self.name} tells no classes apart")

    @property
    def protocol(self) -> dict[str, Any]:
        """All that the features depend on: weights, input size, range, resize policy."""
        return {"extractor": self.name}
