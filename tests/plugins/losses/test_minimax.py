import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ganvas import Critique
from ganvas_plugins.losses.minimax import Minimax

DATA = torch.tensor([0.5, 0.3, 0.1, 0.1], dtype=torch.float64)
FAKE = torch.tensor([0.1, 0.1, 0.3, 0.5], dtype=torch.float64)


def atoms(probabilities, scores):
    """The scores of a sample that has every atom in exactly its share."""
    return Critique(scores.repeat_interleave((probabilities * 10).round().long()))


def test_at_equilibrium_the_losses_are_the_known_constants():
    silent = Critique(torch.zeros(8))
    assert Minimax().discriminator(silent, silent).item() == pytest.approx(math.log(4))
    assert Minimax().generator(silent, silent).item() == pytest.approx(-math.log(2))


def test_the_best_discriminator_of_a_discrete_game_reaches_the_jensen_shannon_value():
    scores = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        loss = Minimax().discriminator(atoms(DATA, scores), atoms(FAKE, scores))
        loss.backward()
        return loss

    optimizer.step(closure)
    middle = (DATA + FAKE) / 2
    divergence = 0.5 * (DATA * (DATA / middle).log()).sum() + 0.5 * (FAKE * (FAKE / middle).log()).sum()
    torch.testing.assert_close(scores.detach().sigmoid(), DATA / (DATA + FAKE), atol=1e-4, rtol=0)
    value = -closure().item()
    assert value == pytest.approx(2 * divergence.item() - math.log(4), abs=1e-4)


def test_the_generators_gradient_is_minus_sigma_and_vanishes_where_the_discriminator_wins():
    scores = torch.tensor([-50.0, -1.0, 0.0, 2.0], requires_grad=True)
    (4 * Minimax().generator(Critique(scores), None)).backward()
    torch.testing.assert_close(scores.grad, -scores.detach().sigmoid())
    assert scores.grad[0].abs() < 1e-20


def test_smoothing_moves_the_target_of_the_reals_only():
    real, fake = torch.randn(5, 3), torch.randn(5, 3)
    loss = Minimax(smoothing=0.1).discriminator(Critique(real), Critique(fake))
    expected = binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9)) + binary_cross_entropy_with_logits(
        fake, torch.zeros_like(fake)
    )
    torch.testing.assert_close(loss, expected)


def test_huge_logits_stay_finite_and_patches_are_averaged():
    scores = torch.tensor([[[1e4, -1e4]]])
    loss = Minimax().discriminator(Critique(scores), Critique(scores))
    assert loss.item() == pytest.approx(1e4)


def test_a_single_point_orbits_the_data_and_r1_brings_it_home(dirac):
    assert dirac(Minimax(), 0).distances().sub(1).abs().max() < 1e-3
    assert dirac(Minimax(), 1.0).distances()[-1] < 2e-3
    assert dirac(Minimax(), 0).growth().real.abs().max() < 1e-6
    assert dirac(Minimax(), 1.0).growth().real.tolist() == pytest.approx([-0.5, -0.5], abs=1e-3)
