import pytest
import torch
from torch import nn

from ganvas import Critique
from ganvas_plugins.regularizers.gradient_penalty import GradientPenalty


@pytest.mark.parametrize("at", ["interpolation", "dragan"])
@pytest.mark.parametrize("patches", [1, 2])
def test_a_linear_critic_pays_for_its_slope_wherever_the_data_are(at, patches, critic, make_duel, make_match):
    slope = torch.arange(12.0) / 10
    duel = make_duel(critic(slope, patches), lambda duel: GradientPenalty(duel, at=at))
    expected = 10 * (slope.norm().item() - 1) ** 2
    assert duel.terms(make_match(duel))["penalty/gradientpenalty"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("sides", "target", "expected"), [("two", 1.0, 0.25), ("one", 1.0, 0.0), ("one", 0.0, 0.25)])
def test_sides_and_target(sides, target, expected, critic, make_duel, make_match):
    flat = torch.zeros(12)
    flat[3] = 0.5
    duel = make_duel(critic(flat), lambda duel: GradientPenalty(duel, weight=1.0, sides=sides, target=target))
    assert duel.penalty(duel.regularizers[0], make_match(duel))["penalty/gradientpenalty"].item() == pytest.approx(
        expected
    )


def test_points_lie_on_the_segments_between_reals_and_fakes_one_share_per_sample(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: GradientPenalty(duel))
    match = make_match(duel)
    points = duel.regularizers[0]._points(match)
    shares = ((points - match.fake) / (match.real - match.fake)).flatten(1)
    assert ((shares > 0) & (shares < 1)).all()
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares), atol=1e-3, rtol=1e-3)
    assert shares[:, 0].unique().numel() == len(shares)


@pytest.mark.parametrize("radius", [0.5, 2.0])
def test_dragan_looks_around_the_reals_as_far_as_its_radius(radius, critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: GradientPenalty(duel, at="dragan", radius=radius))
    match = make_match(duel, size=200)
    shares = ((duel.regularizers[0]._points(match) - match.real) / (radius * match.real.std())).flatten(1)
    # ε u, both uniform in [0, 1]: a mean of ¼, one ε per sample.
    assert ((shares > -1e-5) & (shares < 1)).all()
    assert shares.mean().item() == pytest.approx(0.25, abs=0.03)
    assert shares.amax(1).std() > 0.2


def test_the_gradient_reaches_the_critic_and_not_the_generator(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: GradientPenalty(duel))
    duel.terms(make_match(duel))["penalty/gradientpenalty"].backward()
    slope = torch.ones(12)
    expected = 2 * 10 * (slope.norm() - 1) * slope / slope.norm()
    torch.testing.assert_close(duel.discriminator.slope.grad, expected)
    assert all(p.grad is None for p in duel.generator.parameters())


def test_batch_norm_is_refused(make_duel):
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, samples, condition=None):
            return Critique(self.norm(samples).mean((1, 2, 3)))

    with pytest.raises(ValueError, match=r"Normed has batch norm.*norm: none"):
        make_duel(Normed(), lambda duel: GradientPenalty(duel))
