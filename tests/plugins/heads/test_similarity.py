import pytest
import torch
from torch.nn.functional import normalize

from ganvas import Segment
from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.similarity import SimilarityHead


class Recording(SimilarityHead):
    """Keeps what it is asked to contrast."""

    term = "recorded"

    def contrast(self, to_proxy, to_others, alike):
        self.seen = (to_proxy, to_others, alike)
        return to_proxy.sum() + to_others.sum()


def recording(condition=(3,), **options):
    return Recording(5, condition, embedding=4, head=LinearHead, **options)


def test_reals_are_compared_for_the_discriminator_and_fakes_for_the_generator(make_match):
    head = recording(discriminator_weight=2.0, generator_weight=0.5)
    real, fake = torch.randn(2, 4, 5, 2, 3).unbind(0)
    conditions = torch.eye(3)[[0, 2, 1, 1]], torch.eye(3)[[1, 1, 0, 1]]
    for side, part, condition, weight in (
        ("discriminator", real, conditions[0], 2.0),
        ("generator", fake, conditions[1], 0.5),
    ):
        term = head.terms(make_match(head, side, real, fake, *conditions))["recorded"]
        embeddings = normalize(head.embed(part.mean((2, 3))), dim=1)
        proxies = normalize(head.proxies.weight.T, dim=1)[condition.argmax(1)]
        to_proxy, to_others, alike = head.seen
        torch.testing.assert_close(to_proxy, (embeddings * proxies).sum(1))
        torch.testing.assert_close(to_others, embeddings @ embeddings.T)
        labels = condition.argmax(1)
        assert torch.equal(alike, labels[:, None] == labels)
        torch.testing.assert_close(term, weight * (to_proxy.sum() + to_others.sum()))


def test_each_combination_of_attributes_is_a_class(make_match):
    condition = torch.tensor([[1.0, 0, 1], [1, 1, 1], [1, 0, 1], [0, 0, 0]])
    head, samples = recording(), torch.randn(4, 5)
    segments = [Segment("binary", 3)]
    head.terms(make_match(head, "discriminator", samples, samples, condition, condition, segments))
    expected = torch.eye(4, dtype=torch.bool)
    expected[0, 2] = expected[2, 0] = True
    assert torch.equal(head.seen[2], expected)


def test_a_continuous_condition_is_refused_when_the_duel_is_built(make_duel):
    with pytest.raises(ValueError) as refused:
        make_duel(recording(), [Segment("continuous", 3)])
    assert str(refused.value) == (
        "the discriminator's head compares samples of equal conditions, and a part of the condition is continuous; "
        "use head: projection, or a condition of classes or attributes (labels, clusters)"
    )


def test_similarities_are_computed_in_full_precision(make_match):
    head, samples, condition = recording(), torch.randn(4, 5), torch.eye(3)[[0, 1, 2, 0]]
    with torch.autocast("cpu", torch.bfloat16):
        head.terms(make_match(head, "discriminator", samples, samples, condition, condition))
    to_proxy, to_others, _ = head.seen
    assert to_proxy.dtype == to_others.dtype == torch.float32
    # bfloat16 would leave the diagonal 0.4 % off.
    torch.testing.assert_close(to_others.diagonal(), torch.ones(4), rtol=1e-6, atol=0)
