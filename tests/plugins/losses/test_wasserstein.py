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


def test_a_single_point_orbits_the_data_and_r1_brings_it_home(dirac):
    assert dirac(Wasserstein(), 0).distances().sub(1).abs().max() < 1e-3
    assert dirac(Wasserstein(), 1.0).distances()[-1] < 2e-3
    # θ' = ψ, ψ' = -θ - γψ: eigenvalues -γ/2 ± i √(1 - γ²/4)
    assert dirac(Wasserstein(), 1.0).growth().real.tolist() == pytest.approx([-0.5, -0.5], abs=1e-6)
    assert dirac(Wasserstein(), 1.0).growth().imag.abs().tolist() == pytest.approx([0.75**0.5] * 2, abs=1e-6)
