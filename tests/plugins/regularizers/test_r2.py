import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator
from ganvas_plugins.regularizers.r1 import R1
from ganvas_plugins.regularizers.r2 import R2


class Quadratic(Discriminator):
    """s(x) = a ½ |x|², whose gradient is a x: it tells samples apart."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(3.0))

    def forward(self, samples, condition=None):
        return Critique(self.slope / 2 * samples.flatten(1).square().sum(1))


@pytest.mark.parametrize(("half", "factor"), [(True, 0.5), (False, 1.0)])
def test_it_is_taken_at_the_fakes(half, factor, make_duel, make_match):
    duel = make_duel(Quadratic(), lambda duel: R1(duel, weight=6.0), lambda duel: R2(duel, weight=6.0, half=half))
    match = make_match(duel)
    terms = duel.terms(match)
    squares = {which: getattr(match, which).flatten(1).square().sum(1).mean().item() for which in ("real", "fake")}
    assert squares["real"] != pytest.approx(squares["fake"], rel=0.1)
    assert terms["penalty/r1"].item() == pytest.approx(6 * 0.5 * 9 * squares["real"], rel=1e-5)
    assert terms["penalty/r2"].item() == pytest.approx(6 * factor * 9 * squares["fake"], rel=1e-5)


def test_the_gradient_reaches_the_critic_and_not_the_generator(make_duel, make_match):
    duel = make_duel(Quadratic(), lambda duel: R2(duel, weight=6.0))
    match = make_match(duel)
    duel.terms(match)["penalty/r2"].backward()
    # d/da ½ γ a² |x|² = γ a |x|²
    expected = 6 * 3 * match.fake.detach().flatten(1).square().sum(1).mean()
    torch.testing.assert_close(duel.discriminator.slope.grad, expected)
    assert all(p.grad is None for p in duel.generator.parameters())


def test_fakes_are_judged_under_their_own_condition(make_duel, make_match):
    class Conditional(Discriminator):
        def forward(self, samples, condition=None):
            return Critique((samples.flatten(1) * condition).sum(1))

    duel = make_duel(Conditional(), lambda duel: R2(duel, weight=2.0))
    real, fake = torch.full((4, 1), 5.0), torch.full((4, 1), 2.0)
    term = duel.terms(make_match(duel, condition_real=real, condition_fake=fake))["penalty/r2"]
    assert term.item() == pytest.approx(2 * 0.5 * 12 * 4)
