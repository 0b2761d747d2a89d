import pytest
import torch
from torch.nn.functional import cross_entropy

from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.twin_auxiliary import TwinAuxiliary

REAL, FAKE = torch.tensor([0, 2, 1, 1]), torch.tensor([1, 1, 0, 2])
CONDITIONS = torch.eye(3)[REAL], torch.eye(3)[FAKE]


def twins(**options):
    torch.manual_seed(0)
    return TwinAuxiliary(5, (3,), head=LinearHead, **options)


def test_terms_are_cross_entropies_by_hand(make_match):
    head = twins(generator_weight=0.5, twin_discriminator_weight=3.0, twin_generator_weight=0.25)
    real, fake = torch.randn(2, 4, 5).unbind(0)
    terms = head.terms(make_match(head, "discriminator", real, fake, *CONDITIONS))
    assert list(terms) == ["classification-real", "classification-fake", "twin-classification"]
    torch.testing.assert_close(terms["classification-real"], cross_entropy(head.classifier(real), REAL))
    torch.testing.assert_close(terms["classification-fake"], cross_entropy(head.classifier(fake), FAKE))
    torch.testing.assert_close(terms["twin-classification"], 3 * cross_entropy(head.twin(fake), FAKE))
    terms = head.terms(make_match(head, "generator", real, fake, *CONDITIONS))
    assert list(terms) == ["classification", "twin-classification"]
    torch.testing.assert_close(terms["classification"], 0.5 * cross_entropy(head.classifier(fake), FAKE))
    torch.testing.assert_close(terms["twin-classification"], -0.25 * cross_entropy(head.twin(fake), FAKE))


@pytest.mark.parametrize("fakes", [True, False])
def test_the_twin_learns_from_fakes_alone_and_does_not_touch_the_classifier(make_match, fakes):
    head = twins(fakes=fakes)
    fake = torch.randn(4, 5)
    for real in (torch.randn(4, 5), 100 * torch.randn(4, 5)):
        head.zero_grad()
        sum(head.terms(make_match(head, "discriminator", real, fake, *CONDITIONS)).values()).backward()
        expected = (head.twin(fake).softmax(1) - CONDITIONS[1]).T @ fake / 4
        torch.testing.assert_close(head.twin.weight.grad, expected)
    # With C = C' the two terms of the generator cancel: fakes whose classes overlap as the reals' do cost nothing.
    head.twin.load_state_dict(head.classifier.state_dict())
    terms = head.terms(make_match(head, "generator", fake, fake, *CONDITIONS))
    assert sum(terms.values()).item() == 0


def test_the_critique_carries_both_logits():
    head = twins()
    maps = torch.randn(4, 5, 2, 3)
    critique = head(maps, CONDITIONS[0])
    torch.testing.assert_close(critique.classes, head.classifier(maps.mean((2, 3))))
    torch.testing.assert_close(critique.twin_classes, head.twin(maps.mean((2, 3))))
    assert head.gives == {"classes", "twin_classes"}
    assert critique.scores.shape == (4, 2, 3)
