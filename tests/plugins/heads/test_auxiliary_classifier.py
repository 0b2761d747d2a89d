import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ganvas import Segment
from ganvas.registry.documents import Mistakes
from ganvas.runs.api import read
from ganvas.runs.checking import check_experiment
from ganvas_plugins.heads.auxiliary_classifier import AuxiliaryClassifier
from ganvas_plugins.heads.contrastive import Contrastive
from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.projection import ProjectionHead

REAL, FAKE = torch.tensor([0, 2, 1, 1]), torch.tensor([1, 1, 0, 2])


def classifying(condition=(3,), head=LinearHead, **options):
    torch.manual_seed(0)
    return AuxiliaryClassifier(5, condition, head=head, **options)


def samples(*places):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(4, 5, *places, generator=rng), torch.randn(4, 5, *places, generator=rng)


@pytest.mark.parametrize("places", [(), (3, 2)])
def test_terms_are_cross_entropies_by_hand(make_match, places):
    head = classifying(discriminator_weight=2.0, generator_weight=0.5)
    real, fake = samples(*places)
    conditions = torch.eye(3)[REAL], torch.eye(3)[FAKE]
    # The mean over the places of the logits at each.
    logits = [
        torch.stack([head.classifier(part.flatten(2)[..., place]) for place in range(6)]).mean(0)
        if places
        else head.classifier(part)
        for part in (real, fake)
    ]
    terms = head.terms(make_match(head, "discriminator", real, fake, *conditions))
    assert list(terms) == ["classification-real", "classification-fake"]
    torch.testing.assert_close(terms["classification-real"], 2 * cross_entropy(logits[0], REAL))
    torch.testing.assert_close(terms["classification-fake"], 2 * cross_entropy(logits[1], FAKE))
    terms = head.terms(make_match(head, "generator", real, fake, *conditions))
    assert list(terms) == ["classification"]
    # Under the label that the fake was made from, never the real's.
    torch.testing.assert_close(terms["classification"], 0.5 * cross_entropy(logits[1], FAKE))


def test_the_discriminator_may_classify_reals_alone(make_match):
    head = classifying(fakes=False)
    terms = head.terms(make_match(head, "discriminator", *samples(), torch.eye(3)[REAL], torch.eye(3)[FAKE]))
    assert list(terms) == ["classification-real"]


def test_attributes_cost_binary_cross_entropy_and_stretches_are_summed(make_match):
    head, (real, fake) = classifying((5,)), samples()
    condition = torch.cat([torch.eye(3)[FAKE], torch.tensor([[0.0, 1], [1, 1], [0, 0], [1, 0]])], dim=1)
    segments = [Segment("one-hot", 3), Segment("binary", 2)]
    terms = head.terms(make_match(head, "generator", real, fake, condition, condition, segments))
    logits = head.classifier(fake)
    expected = cross_entropy(logits[:, :3], FAKE) + binary_cross_entropy_with_logits(logits[:, 3:], condition[:, 3:])
    torch.testing.assert_close(terms["classification"], expected)


def test_a_continuous_condition_is_refused_when_the_duel_is_built(make_duel):
    with pytest.raises(ValueError) as refused:
        make_duel(classifying(), [Segment("one-hot", 2), Segment("continuous", 1)])
    assert str(refused.value) == (
        "the discriminator's head classifies samples, and a part of the condition is continuous; "
        "use head: projection, or a condition of classes or attributes (labels, clusters)"
    )
    make_duel(classifying(), [Segment("one-hot", 2), Segment("binary", 1)])


ANGLES = """
import torch

from ganvas import Condition, Segment


class Angle(Condition):
    def __init__(self, data):
        super().__init__()
        self.shape, self.segments = (2,), (Segment("continuous", 2),)

    def of(self, batch):
        return torch.zeros(len(batch["images"]), 2)

    def sample(self, number, rng):
        return torch.zeros(number, 2)
"""


def test_a_continuous_condition_is_refused_by_check(tmp_path):
    (tmp_path / "angles.py").write_text(ANGLES)
    (tmp_path / "registry.yaml").write_text("components: {condition: {angle: ./angles.py:Angle}}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "dataset: digits\n"
        "stages:\n"
        "  gan:\n"
        "    use: gan\n"
        "    generator: {use: eigengan, channels: 4, basis: 2}\n"
        "    discriminator: {use: dcgan, channels: 4, head: {use: minibatch-stddev, head: auxiliary-classifier}}\n"
        "    condition: angle\n"
        "    steps: 2\n"
    )
    with pytest.raises(Mistakes) as refused:
        check_experiment(read(spec))
    assert str(refused.value) == (
        f"{spec}:4:10: stages.gan: the discriminator's head classifies samples, and a part of the condition is "
        "continuous; use head: projection, or a condition of classes or attributes (labels, clusters)"
    )


def test_scores_are_those_of_its_inner_head():
    head, (real, _) = classifying(head=ProjectionHead), samples(2, 2)
    condition = torch.eye(3)[REAL]
    torch.testing.assert_close(head(real, condition).scores, head.head(real, condition).scores)
    assert head.conditional
    assert not classifying().conditional
    assert head.gives == {"classes"}


def test_a_head_around_a_classifier_has_the_terms_of_both(make_match):
    head = Contrastive(5, (3,), head=lambda *given: classifying(), embedding=4)
    conditions = torch.eye(3)[REAL], torch.eye(3)[FAKE]
    terms = head.terms(make_match(head, "discriminator", *samples(), *conditions))
    assert sorted(terms) == ["classification-fake", "classification-real", "contrastive"]
    assert head.gives == {"classes", "embeddings"}


def test_it_learns_from_both_and_the_generator_from_its_fakes(make_match):
    head, (real, fake) = classifying(), samples()
    conditions = torch.eye(3)[REAL], torch.eye(3)[FAKE]
    fake.requires_grad_(True)
    head.terms(make_match(head, "generator", real, fake, *conditions))["classification"].backward()
    # The gradient of a cross entropy at the logits is softmax - target, and C is linear.
    expected = (head.classifier(fake).softmax(1) - torch.eye(3)[FAKE]) @ head.classifier.weight / 4
    torch.testing.assert_close(fake.grad, expected)
