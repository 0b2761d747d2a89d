import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator
from ganvas_plugins.augmentations.diffaugment import DiffAugment
from ganvas_plugins.regularizers.r1 import R1


class Curved(Discriminator):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(8, 1))

    def forward(self, samples, condition=None):
        return Critique(self.blocks(samples).squeeze(1))


def test_a_linear_critic_pays_half_gamma_times_its_squared_slope(critic, make_duel, make_match):
    slope = torch.arange(12.0) / 10
    for patches in (1, 2):
        duel = make_duel(critic(slope, patches), lambda duel: R1(duel, weight=6.0))
        terms = duel.terms(make_match(duel))
        assert terms["penalty/r1"].item() == pytest.approx(3 * slope.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"weight": 10.0, "every": 16}, 5 * 16),  # StyleGAN2
        ({"weight": 10.0, "every": 3, "half": False}, 30),  # EigenGAN
        ({"weight": 10.0, "every": 16, "half": False, "rescale": False, "own_step": True}, 10),  # InfoSCC-GAN
    ],
)
def test_the_papers_constants(options, factor, critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: R1(duel, **options))
    penalty = duel.penalty(duel.regularizers[0], make_match(duel))["penalty/r1"]
    assert penalty.item() == pytest.approx(factor * 12, rel=1e-5)


def test_a_lazy_penalty_is_there_in_every_nth_iteration(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: R1(duel, every=16))
    assert [i for i in range(33) if "penalty/r1" in duel.terms(make_match(duel, index=i))] == [0, 16, 32]
    assert "penalty/r1" not in duel.terms(make_match(duel, side="generator"))


@pytest.mark.parametrize("own_step", [False, True])
def test_a_lazy_penalty_has_the_mean_gradient_of_one_in_every_step(own_step, make_duel, make_match):
    critic = Curved()
    means = []
    for options in ({}, {"every": 16, "own_step": own_step}):
        duel = make_duel(critic, lambda duel, o=options: R1(duel, **o))
        critic.zero_grad()
        for index in range(32):
            match = make_match(duel, index=index)
            if not own_step or not options:
                terms = duel.terms(match)
            else:
                _, own, _ = duel.updates(lambda side, step, match=match: match)
                terms = own.objective(match.step) if index % own.every == 0 else {}
            if "penalty/r1" in terms:
                (terms["penalty/r1"] / 32).backward()
        means.append([p.grad.clone() for p in critic.parameters() if p.grad is not None])
    assert all(gradient.any() for gradient in means[0][:-1])
    for every, lazy in zip(*means, strict=True):
        torch.testing.assert_close(lazy, every)


def test_it_has_a_step_of_its_own_where_asked(critic, make_duel):
    duel = make_duel(critic(torch.ones(12)), lambda duel: R1(duel, every=16, own_step=True))
    names = [update.name for update in duel.updates(lambda side, step: None)]
    assert names == ["discriminator", "discriminator.r1", "generator"]
    assert duel.updates(lambda side, step: None)[1].every == 16


def test_the_gradient_reaches_the_critics_weights_through_the_augmentation(make_duel, make_match):
    duel = make_duel(Curved(), lambda duel: R1(duel), augmentation=DiffAugment())
    duel.terms(make_match(duel))["penalty/r1"].backward()
    assert all(p.grad.any() for p in duel.discriminator.parameters() if p.dim() > 1)
