import pytest
import torch

from ganvas import Critique
from ganvas_plugins.losses.least_squares import LeastSquares

DATA = torch.tensor([0.5, 0.3, 0.1, 0.1], dtype=torch.float64)
FAKE = torch.tensor([0.1, 0.1, 0.3, 0.5], dtype=torch.float64)


def atoms(probabilities, scores):
    return Critique(scores.repeat_interleave((probabilities * 10).round().long()))


def test_its_values_are_those_of_the_equations():
    real, fake = Critique(torch.tensor([0.0, 2.0])), Critique(torch.tensor([3.0, 1.0]))
    assert LeastSquares().discriminator(real, fake).item() == pytest.approx(0.5 * 1 + 0.5 * 5)
    assert LeastSquares().generator(fake, real).item() == pytest.approx(0.5 * 2)
    assert LeastSquares(factor=1.0).generator(fake, real).item() == pytest.approx(2)
    assert LeastSquares(factor=1.0, power=4).discriminator(real, fake).item() == pytest.approx(1 + 41)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-1.0, 1.0)])
def test_the_best_score_weighs_the_targets_by_the_densities(a, b):
    best = ((b * DATA + a * FAKE) / (DATA + FAKE)).requires_grad_(True)
    LeastSquares(real=b, fake=a).discriminator(atoms(DATA, best), atoms(FAKE, best)).backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(DATA))


def test_the_second_choice_of_targets_measures_pearsons_divergence():
    best = (DATA - FAKE) / (DATA + FAKE)
    loss = LeastSquares(real=1.0, fake=-1.0, target=0.0)
    cost = loss.generator(atoms(DATA, best), None) + loss.generator(atoms(FAKE, best), None)
    assert 2 * cost.item() == pytest.approx(((DATA - FAKE) ** 2 / (DATA + FAKE)).sum().item())
