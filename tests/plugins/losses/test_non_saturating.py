import math

import pytest
import torch

from ganvas import Critique
from ganvas_plugins.losses.minimax import Minimax
from ganvas_plugins.losses.non_saturating import NonSaturating


def test_at_equilibrium_the_losses_are_the_known_constants():
    silent = Critique(torch.zeros(4, 2, 2))
    assert NonSaturating().discriminator(silent, silent).item() == pytest.approx(math.log(4))
    assert NonSaturating().generator(silent, silent).item() == pytest.approx(math.log(2))


def test_the_generators_gradient_is_one_where_the_discriminator_wins():
    scores = torch.tensor([-50.0, -1.0, 0.0, 2.0], requires_grad=True)
    (4 * NonSaturating().generator(Critique(scores), None)).backward()
    torch.testing.assert_close(scores.grad, -(1 - scores.detach().sigmoid()))
    assert scores.grad[0].item() == pytest.approx(-1)


def test_the_discriminator_plays_the_minimax_game():
    real, fake = Critique(torch.randn(6)), Critique(torch.randn(6))
    for smoothing in (0.0, 0.2):
        ours = NonSaturating(smoothing=smoothing).discriminator(real, fake)
        assert torch.equal(ours, Minimax(smoothing=smoothing).discriminator(real, fake))


@pytest.mark.slow
def test_it_fits_a_one_dimensional_gaussian():
    torch.manual_seed(0)
    mean, deviation = torch.nn.Parameter(torch.tensor(0.0)), torch.nn.Parameter(torch.tensor(1.0))
    judge = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    players = (
        torch.optim.Adam([mean, deviation], 2e-2, (0.5, 0.9)),
        torch.optim.Adam(judge.parameters(), 2e-2, (0.5, 0.9)),
    )
    loss = NonSaturating()

    def critique(x):
        return Critique(judge(torch.stack([x, x**2 / 4], 1)))

    seen = []
    for step in range(600):
        players[1].zero_grad()
        loss.discriminator(
            critique(2 + 0.5 * torch.randn(128)), critique((mean + deviation * torch.randn(128)).detach())
        ).backward()
        players[1].step()
        players[0].zero_grad()
        loss.generator(critique(mean + deviation * torch.randn(128)), None).backward()
        players[0].step()
        if step >= 300:
            seen.append((mean.item(), abs(deviation.item())))
    means, deviations = torch.tensor(seen).T
    assert means.mean().item() == pytest.approx(2, abs=0.1)
    assert deviations.mean().item() == pytest.approx(0.5, abs=0.15)
