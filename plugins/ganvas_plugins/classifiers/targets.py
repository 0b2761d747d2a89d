"""Conditions as targets of a classifier: the loss and the accuracy that their segments ask for."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ganvas import Condition, Segment


def check_targets(condition: Condition) -> None:
    """Raises ValueError where a classifier cannot learn the condition."""
    if not condition.segments:
        raise ValueError("a classifier needs a condition to learn; use labels, or clusters for unlabelled data")
    if not condition.observed:
        raise ValueError(
            "a classifier learns what is known of real images, and no real image has a code; use labels or clusters"
        )
    if any(segment.kind == "continuous" for segment in condition.segments):
        raise ValueError("a classifier learns classes or attributes, nothing continuous; use labels or clusters")


def classification_loss(logits: Tensor, targets: Tensor, segments: Sequence[Segment], smoothing: float = 0.0) -> Tensor:
    """Cross entropy over each ``one-hot`` segment plus binary cross entropy over each ``binary`` one.

    Args:
        logits: (N, K).
        targets: (N, K), zeros and ones.
        segments: what the K numbers mean; a single class where nothing is said of it.
        smoothing: label smoothing of the cross entropy.
    """
    losses = []
    segments = segments or [Segment("one-hot", targets.shape[1])]
    for segment, logit, target in parts(logits.float(), targets, segments):
        if segment.kind == "one-hot":
            losses.append(F.cross_entropy(logit, target, label_smoothing=smoothing))
        else:
            losses.append(F.binary_cross_entropy_with_logits(logit, target))
    return torch.stack(losses).sum()


def recovered(logits: Tensor, targets: Tensor, segments: Sequence[Segment]) -> Tensor:
    """(N, Q) zeros and ones: whether each class (one per ``one-hot`` segment) and each attribute is predicted right."""
    hits = []
    for segment, logit, target in parts(logits, targets, segments):
        if segment.kind == "one-hot":
            hits.append((logit.argmax(1) == target.argmax(1)).unsqueeze(1))
        else:
            hits.append((logit > 0) == (target > 0.5))
    return torch.cat(hits, dim=1).float()


def parts(logits: Tensor, targets: Tensor, segments: Sequence[Segment]) -> Iterator[tuple[Segment, Tensor, Tensor]]:
    """Each segment with its stretch of the logits (N, K) and of the targets (N, K)."""
    sizes = [segment.size for segment in segments]
    yield from zip(segments, logits.split(sizes, 1), targets.to(logits.dtype).split(sizes, 1), strict=True)
