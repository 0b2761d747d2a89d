import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator
from ganvas_plugins.regularizers.lecam import LeCam


class Table(Discriminator):
    """A score for each of several points; a sample is the index of its point. One score or a map."""

    def __init__(self, scores, patches=()):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))
        self.patches = patches

    def forward(self, samples, condition=None):
        scores = self.scores[samples.flatten(1)[:, 0].long()]
        return Critique(scores.view(-1, *(1 for _ in self.patches)).expand(-1, *self.patches))


def points(*indices):
    return torch.tensor(indices, dtype=torch.float).view(-1, 1, 1, 1)


def judged(make_duel, make_match, critic, real, fake, index=0, duel=None, **options):
    """The duel, and a match of the given points."""
    duel = duel or make_duel(critic, lambda duel: LeCam(duel, **{"start": 0, **options}))
    match = make_match(duel, index=index, size=len(fake), fake=lambda: fake)
    match._given_real = real
    return duel, match


@pytest.mark.parametrize("patches", [(), (3, 2)])
def test_the_equation_of_the_paper(patches, make_duel, make_match):
    real, fake = points(0, 1), points(1, 2)
    duel, match = judged(make_duel, make_match, Table([1.0, 3.0, -2.0], patches), real, fake, rectified=False)
    # The first batch's means are the moving ones: 2 of the reals, ½ of the fakes.
    expected = ((1 - 0.5) ** 2 + (3 - 0.5) ** 2) / 2 + ((3 - 2) ** 2 + (-2 - 2) ** 2) / 2
    assert duel.terms(match)["penalty/lecam"].item() == pytest.approx(0.3 * expected)


def test_rectified_it_leaves_out_what_is_on_the_wrong_side(make_duel, make_match):
    duel, match = judged(make_duel, make_match, Table([-1.0, 3.0, -2.0]), points(0, 1), points(1, 2), weight=1.0)
    # Means 1 and ½: the real that scores -1 and the fake that scores 3 do not count.
    expected = (3 - 0.5) ** 2 / 2 + (1 + 2) ** 2 / 2
    term = duel.terms(match)["penalty/lecam"]
    assert term.item() == pytest.approx(expected)
    term.backward()
    # Where a point is both, only its share as a real has a gradient: (3 - ½), and (-2 - 1) of the fake.
    torch.testing.assert_close(duel.discriminator.scores.grad, torch.tensor([0.0, 2.5, -3.0]))


def test_the_means_have_no_bias_of_their_start_and_decay(make_duel, make_match):
    duel = None
    for index, score in enumerate((1.0, 5.0, 2.0)):
        critic = Table([score, -score])
        duel, match = judged(make_duel, make_match, critic, points(0), points(1), index, duel, decay=0.5)
        duel.discriminator = critic
        duel.penalty(duel.regularizers[0], match)
    expected = (0.25 * 1 + 0.5 * 5 + 1 * 2) / 1.75
    lecam = duel.regularizers[0]
    assert lecam.real.item() == pytest.approx(expected)
    assert lecam.fake.item() == pytest.approx(-expected)
    assert lecam.tracked.item() == 3
    assert {name for name in duel.state_dict() if "regularizers" in name} == {
        "regularizers.0.real",
        "regularizers.0.fake",
        "regularizers.0.tracked",
    }


def test_before_its_start_it_only_tracks(make_duel, make_match):
    duel, match = judged(make_duel, make_match, Table([1.0, -1.0]), points(0), points(1), index=9, start=10)
    assert set(duel.terms(match)) == {"adversarial"}
    assert duel.regularizers[0].real.item() == pytest.approx(1)
    _, match = judged(make_duel, make_match, None, points(0), points(1), index=10, duel=duel)
    assert duel.terms(match)["penalty/lecam"].item() == pytest.approx(0.3 * (2**2 + 2**2))


def test_its_fixed_point_under_the_wasserstein_loss(make_duel, make_match):
    """Where p = (¾, ¼) and q = (¼, ¾), -p s + q s + λ (p (s - α_fake)² + q (s - α_real)²) is least at s = ±1 / 5λ.

    s is antisymmetric, so α_real = -α_fake = s/2, and 4 λ s = 1 - 2 λ α at the first point.
    """
    best = 1 / (5 * 0.3)
    real, fake = points(0, 0, 0, 1), points(1, 1, 1, 0)
    duel, match = judged(make_duel, make_match, Table([best, -best]), real, fake, rectified=False)
    terms = duel.terms(match)
    sum(terms.values()).backward()
    assert duel.regularizers[0].real.item() == pytest.approx(best / 2)
    torch.testing.assert_close(duel.discriminator.scores.grad, torch.zeros(2), atol=1e-6, rtol=0)
    # The means of another critic are no such place.
    other, match = judged(make_duel, make_match, Table([1.0, -1.0]), real, fake, rectified=False)
    sum(other.terms(match).values()).backward()
    assert other.discriminator.scores.grad.abs().min() > 0.1


def test_no_gradient_reaches_the_means_or_the_generator(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: LeCam(duel, start=0))
    duel.terms(make_match(duel))["penalty/lecam"].backward()
    assert not duel.regularizers[0].real.requires_grad
    assert all(p.grad is None for p in duel.generator.parameters())
    assert "penalty/lecam" not in duel.terms(make_match(duel, "generator"))
