import pytest
import torch

from ganvas import Critique
from ganvas_plugins.losses.hinge import Hinge

DATA = torch.tensor([0.5, 0.3, 0.1, 0.1], dtype=torch.float64)
FAKE = torch.tensor([0.1, 0.1, 0.3, 0.5], dtype=torch.float64)


def atoms(probabilities, scores):
    return Critique(scores.repeat_interleave((probabilities * 10).round().long()))


def test_the_best_discriminator_measures_total_variation():
    best = (DATA - FAKE).sign()
    variation = 0.5 * (DATA - FAKE).abs().sum().item()
    loss = Hinge().discriminator(atoms(DATA, best), atoms(FAKE, best)).item()
    assert loss == pytest.approx(2 * (1 - variation))
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        other = torch.randn(4, generator=generator, dtype=torch.float64)
        assert Hinge().discriminator(atoms(DATA, other), atoms(FAKE, other)).item() >= loss - 1e-12


def test_the_discriminator_rests_beyond_the_margin():
    real, fake = torch.tensor([1.5, 2.1], requires_grad=True), torch.tensor([-1.5, -2.1], requires_grad=True)
    loss = Hinge().discriminator(Critique(real), Critique(fake))
    loss.backward()
    assert loss.item() == 0
    assert not real.grad.any()
    assert not fake.grad.any()
    assert Hinge(margin=2.0).discriminator(Critique(real), Critique(fake)).item() == pytest.approx(0.5)


def test_the_generators_two_forms_differ_beyond_the_margin():
    scores = torch.tensor([0.5, 1.5], requires_grad=True)
    (linear,) = torch.autograd.grad(Hinge().generator(Critique(scores), None), scores)
    (clipped,) = torch.autograd.grad(Hinge(generator="clipped").generator(Critique(scores), None), scores)
    assert linear.tolist() == [-0.5, -0.5]
    assert clipped.tolist() == [-0.5, 0.0]
