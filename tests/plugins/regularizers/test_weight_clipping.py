import torch
from torch import nn

from ganvas.testing import doubles
from ganvas.testing.suite import Case
from ganvas_plugins.regularizers.weight_clipping import WeightClipping


def test_after_a_step_no_parameter_of_the_critic_exceeds_the_limit(make_duel, make_step):
    critic = nn.Linear(12, 1)
    duel = make_duel(critic, lambda duel: WeightClipping(duel))
    nn.init.constant_(critic.bias, -3.0)
    inside = critic.weight[0, 0].data.fill_(0.004).clone()
    generator = [p.clone() for p in duel.generator.parameters()]
    critic_update, generator_update = duel.updates(lambda side, step: None)
    assert generator_update.after is None
    critic_update.after(make_step())
    assert critic.bias.item() == torch.tensor(-0.01).item()
    assert critic.weight.abs().max() <= 0.01
    assert critic.weight[0, 0] == inside
    assert all(torch.equal(a, b) for a, b in zip(generator, duel.generator.parameters()))


def test_it_adds_no_term(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: WeightClipping(duel, limit=0.5))
    assert set(duel.terms(make_match(duel))) == {"adversarial"}


def test_in_a_training_the_weights_are_inside_after_every_step(tmp_path):
    """Whenever the critic judges after its first step: Adam's steps of 0.01 leave a box of 0.003 each time."""
    data = Case().data()
    made = doubles.arena(data, None, regularizers=[lambda duel: WeightClipping(duel, limit=0.003)])
    updates = made.duel.updates
    made.duel.updates = lambda match: updates(match, steps=3)
    seen = []
    critic = made.duel.discriminator
    critic.register_forward_pre_hook(lambda *_: seen.append(max(p.abs().max().item() for p in critic.parameters())))
    doubles.training(made, 4, tmp_path)
    # Two forward passes in each of 3 steps, and one of the generator's: all but those of the first step see the box.
    assert len(seen) == 4 * (2 * 3 + 1)
    assert min(seen[:2]) > 0.003
    assert max(seen[2:]) <= torch.tensor(0.003).item()
    assert max(p.abs().max().item() for p in critic.parameters()) <= torch.tensor(0.003).item()


def test_what_is_not_trained_stays_as_it_is(make_duel):
    critic = nn.Sequential(nn.Linear(12, 3), nn.Linear(3, 1))
    critic[0].requires_grad_(False)
    kept = critic[0].weight.clone()
    duel = make_duel(critic, lambda duel: WeightClipping(duel))
    duel.constrain("discriminator")
    assert torch.equal(critic[0].weight, kept)
    assert critic[1].weight.abs().max() <= 0.01
