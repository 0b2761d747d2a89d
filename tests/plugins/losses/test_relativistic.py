import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ganvas import Critique
from ganvas_plugins.losses.relativistic import Relativistic

REAL = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
FAKE = torch.tensor([0.25, 1.0, -1.5], dtype=torch.float64)
BASES = ("logistic", "hinge", "least-squares")


def both(loss, real, fake):
    real, fake = Critique(real), Critique(fake)
    return loss.discriminator(real, fake).item(), loss.generator(fake, real).item()


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", ["paired", "average"])
def test_a_constant_added_to_all_scores_changes_nothing(kind, base):
    loss = Relativistic(kind=kind, base=base)
    assert both(loss, REAL + 7, FAKE + 7) == pytest.approx(both(loss, REAL, FAKE), abs=1e-12)
    assert both(loss, REAL, FAKE) == both(loss, FAKE, REAL)[::-1]


def test_paired_losses_compare_the_ith_real_with_the_ith_fake():
    ahead = (0.25, -2.0, 3.5)
    expected = {
        "logistic": sum(math.log1p(math.exp(-t)) for t in ahead) / 3,
        "hinge": (0.75 + 3 + 0) / 3,
        "least-squares": (0.75**2 + 3**2 + 2.5**2) / 3,
    }
    for base in BASES:
        assert both(Relativistic(base=base), REAL, FAKE)[0] == pytest.approx(expected[base])
        assert both(Relativistic(base=base, factor=0.5), REAL, FAKE)[0] == pytest.approx(expected[base] / 2)
    shuffled = both(Relativistic(), REAL[[1, 2, 0]], FAKE)
    assert shuffled != pytest.approx(both(Relativistic(), REAL, FAKE))


def test_the_average_logistic_loss_classifies_differences_to_the_other_sides_mean():
    loss = Relativistic(kind="average", factor=0.5)
    ahead, behind = REAL - FAKE.mean(), FAKE - REAL.mean()
    one, zero = torch.ones_like(REAL), torch.zeros_like(REAL)
    cross = binary_cross_entropy_with_logits
    assert both(loss, REAL, FAKE) == pytest.approx(
        (
            (0.5 * cross(ahead, one) + 0.5 * cross(behind, zero)).item(),
            (0.5 * cross(behind, one) + 0.5 * cross(ahead, zero)).item(),
        )
    )
    assert both(loss, REAL[[1, 2, 0]], FAKE) == pytest.approx(both(loss, REAL, FAKE))


def test_the_average_of_the_other_bases_is_the_papers():
    ahead, behind = REAL - FAKE.mean(), FAKE - REAL.mean()
    for base, above, below in (
        ("least-squares", (ahead - 1) ** 2, (behind + 1) ** 2),
        ("hinge", (1 - ahead).clamp(min=0), (1 + behind).clamp(min=0)),
    ):
        expected = (above.mean() + below.mean()).item()
        assert both(Relativistic(kind="average", base=base), REAL, FAKE)[0] == pytest.approx(expected)


def test_where_all_scores_are_equal_the_losses_are_the_known_constants():
    same = torch.full((4, 2, 2), 3.0)
    assert both(Relativistic(), same, same) == pytest.approx([math.log(2)] * 2)
    assert both(Relativistic(kind="average"), same, same) == pytest.approx([2 * math.log(2)] * 2)


def test_a_single_point_orbits_the_data_and_r1_brings_it_home(dirac):
    """Not quite an orbit: as L_G is not -L_D, 1/r² grows by t/8 to first order. R1 halves r every 1.4 instead."""
    plain, regularized = dirac(Relativistic(), 0), dirac(Relativistic(), 1.0)
    assert plain.growth().real.abs().max() < 1e-6
    assert plain.growth().imag.abs().tolist() == pytest.approx([0.5, 0.5])
    assert regularized.growth().real.tolist() == pytest.approx([-0.5, -0.5], abs=1e-3)
    assert plain.distances((0.06, 0.08), steps=80, size=0.25)[-1].item() == pytest.approx(
        (100 + 20 / 8) ** -0.5, rel=1e-3
    )
    assert regularized.distances()[-1] < 2e-3
