import pytest
import torch

from ganvas import Head, Segment
from ganvas_plugins.heads.auxiliary_classifier import AuxiliaryClassifier
from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.minibatch import MinibatchHead
from ganvas_plugins.heads.projection import ProjectionHead


class Widest(MinibatchHead):
    """The largest feature of the batch, and one more."""

    def __init__(self, features, condition, head=LinearHead):
        super().__init__()
        self.wrap(head(features + 2, condition))

    def statistics(self, features):
        largest = features.max()
        return torch.stack([largest, largest + 1]).expand(len(features), 2)


def classifier(features, condition):
    return AuxiliaryClassifier(features, condition, head=LinearHead)


def test_statistics_stand_beside_the_features_at_every_place():
    head = Widest(3, None)
    maps = torch.randn(4, 3, 2, 5)
    widened = torch.cat([maps, maps.max() * torch.ones(4, 1, 2, 5), (maps.max() + 1) * torch.ones(4, 1, 2, 5)], dim=1)
    torch.testing.assert_close(head(maps).scores, head.head(widened).scores)
    flat = maps[..., 0, 0]
    widened = torch.cat([flat, flat.max().expand(4, 1), flat.max().expand(4, 1) + 1], dim=1)
    torch.testing.assert_close(head(flat).scores, head.head(widened).scores)


def test_it_is_what_its_inner_head_is():
    inner = (LinearHead, ProjectionHead, classifier)
    plain, projecting, classifying = (Widest(3, (2,), head) for head in inner)
    assert [head.conditional for head in (plain, projecting, classifying)] == [False, True, False]
    assert [sorted(head.gives) for head in (plain, projecting, classifying)] == [[], [], ["classes"]]
    assert type(plain).terms is Head.terms
    maps, condition = torch.randn(4, 3, 2, 2), torch.eye(2)[[0, 1, 1, 0]]
    assert classifying(maps, condition).classes.shape == (4, 2)


def test_it_hands_on_terms_and_what_they_cannot_use(make_match):
    head = Widest(3, (2,), classifier)
    samples, condition = torch.randn(4, 3), torch.eye(2)[[0, 1, 1, 0]]
    match = make_match(head, "discriminator", samples, samples + 1, condition, condition)
    assert sorted(head.terms(match)) == ["classification-fake", "classification-real"]
    with pytest.raises(ValueError, match="the discriminator's head classifies samples"):
        head.check_condition([Segment("continuous", 2)])


def test_statistics_are_computed_in_full_precision():
    seen = []

    class Noting(Widest):
        def statistics(self, features):
            seen.append((features.dtype, torch.is_autocast_enabled("cpu")))
            return super().statistics(features)

    head = Noting(3, None)
    with torch.autocast("cpu", torch.bfloat16):
        head(torch.randn(2, 3, dtype=torch.bfloat16))
    assert seen == [(torch.float32, False)]
