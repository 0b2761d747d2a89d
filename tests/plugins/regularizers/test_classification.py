import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ganvas import Segment, Trained
from ganvas_plugins.regularizers.classification import Classification


class Conditional(nn.Module):
    conditional = True

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 12)

    def forward(self, latents, condition):
        return self.layer(torch.cat([latents, condition], 1)).view(-1, 1, 3, 4)


def classifier():
    return nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(12, 3))


def duel_and_match(critic, make_duel, make_match, condition, network, **options):
    duel = make_duel(
        critic(torch.ones(12)),
        lambda duel: Classification(duel, classifier=Trained(network), **options),
        generator=Conditional(),
    )
    latents = torch.randn(4, 2)
    match = make_match(duel, "generator", fake=lambda: duel.generator(latents, condition), condition_fake=condition)
    return duel, match


def test_a_class_costs_cross_entropy(critic, make_duel, make_match):
    condition, network = torch.eye(3)[[0, 2, 1, 1]], classifier()
    duel, match = duel_and_match(critic, make_duel, make_match, condition, network, weight=2.0)
    term = duel.penalty(duel.regularizers[0], match)["penalty/classification"]
    torch.testing.assert_close(term, 2 * cross_entropy(network(match.fake), torch.tensor([0, 2, 1, 1])))


def test_stretches_of_a_condition_are_summed_each_by_its_kind(critic, make_duel, make_match):
    network, condition = classifier(), torch.tensor([[0.0, 1.0, 1.0]]).expand(4, -1)
    duel, match = duel_and_match(critic, make_duel, make_match, condition, network)
    logits = network(match.fake)
    duel.segments = [Segment("one-hot", 2), Segment("binary", 1)]
    expected = cross_entropy(logits[:, :2], torch.ones(4).long()) + binary_cross_entropy_with_logits(
        logits[:, 2], torch.ones(4)
    )
    torch.testing.assert_close(duel.regularizers[0].penalty(match), expected)
    duel.segments = [Segment("binary", 3)]
    expected = binary_cross_entropy_with_logits(logits, condition)
    torch.testing.assert_close(duel.regularizers[0].penalty(match), expected)


def test_the_classifier_passes_gradients_and_keeps_every_bit(critic, make_duel, make_match):
    network = classifier()
    before = copy.deepcopy(network.state_dict())
    duel, match = duel_and_match(critic, make_duel, make_match, torch.eye(3)[[0, 1, 2, 0]], network)
    duel.penalty(duel.regularizers[0], match)["penalty/classification"].backward()
    assert duel.generator.layer.weight.grad.abs().min() > 0
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not [name for name in duel.state_dict() if "classifier" in name]


def test_its_step_is_the_first_of_the_iteration(critic, make_duel, make_match):
    duel, _ = duel_and_match(critic, make_duel, make_match, torch.eye(3)[[0, 0, 0, 0]], classifier(), every=2)
    first, *rest = duel.updates(lambda side, step: None)
    assert (first.name, first.every, first.optimizer_name) == ("generator.classification", 2, "generator")
    assert [update.name for update in rest] == ["discriminator", "generator"]


def test_mistakes_are_refused(critic, make_duel, make_match):
    with pytest.raises(ValueError, match="give the stage a condition"):
        make_duel(critic(torch.ones(12)), lambda duel: Classification(duel, classifier=Trained(classifier())))
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 7))
    duel, match = duel_and_match(critic, make_duel, make_match, torch.eye(3)[[0, 0, 0, 0]], network)
    with pytest.raises(ValueError, match="7 logits and the condition has 3"):
        duel.regularizers[0].penalty(match)
