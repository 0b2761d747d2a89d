import torch
from torch import nn

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
