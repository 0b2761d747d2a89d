import pytest
import torch

from ganvas import Critique
from ganvas_plugins.losses.wasserstein import Wasserstein


def test_a_unit_slope_critic_measures_the_distance_of_shifted_samples():
    fake = torch.randn(100, generator=torch.Generator().manual_seed(0))
    real = fake[torch.randperm(100)] + 0.7
    loss = Wasserstein().discriminator(Critique(real), Critique(fake)).item()
    transport = (real.sort().values - fake.sort().values).abs().mean().item()
    assert -loss == pytest.approx(transport, abs=1e-5)


def test_parallel_lines_have_a_distance_and_a_gradient():
    theta = torch.tensor(0.3, requires_grad=True)
    height = torch.rand(50)
    fake = Critique(-(theta + 0 * height).abs())  # the best critic of lines at 0 and θ is -|x|
    loss = Wasserstein().discriminator(Critique(torch.zeros(50)), fake)
    assert -loss.item() == pytest.approx(0.3)
    Wasserstein().generator(fake, None).backward()
    assert theta.grad.item() == pytest.approx(1)


def test_patches_count_alike():
    scores = torch.arange(8.0).view(2, 2, 2)
    assert Wasserstein().generator(Critique(scores), None).item() == pytest.approx(-3.5)
