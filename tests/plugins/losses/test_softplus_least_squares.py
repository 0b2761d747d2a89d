import math

import pytest
import torch

from ganvas import Critique
from ganvas_plugins.losses.least_squares import LeastSquares
from ganvas_plugins.losses.softplus_least_squares import SoftplusLeastSquares


def softplus(number):
    return math.log1p(math.exp(number))


def test_its_values_are_those_of_the_equations():
    real, fake = Critique(torch.tensor([0.0, 2.0])), Critique(torch.tensor([3.0, 1.0]))
    plain = SoftplusLeastSquares()
    expected = (softplus(1) ** 2 + softplus(-1) ** 2) / 2 + (softplus(3) ** 2 + softplus(1) ** 2) / 2
    assert plain.discriminator(real, fake).item() == pytest.approx(expected, rel=1e-6)
    assert plain.generator(fake, real).item() == pytest.approx((softplus(-2) ** 2 + softplus(0) ** 2) / 2, rel=1e-6)
    other = SoftplusLeastSquares(real=0.9, fake=0.1, target=2.0, factor=0.5)
    expected = 0.25 * (softplus(0.9) ** 2 + softplus(-1.1) ** 2 + softplus(2.9) ** 2 + softplus(0.9) ** 2)
    assert other.discriminator(real, fake).item() == pytest.approx(expected, rel=1e-6)
    assert other.generator(fake, real).item() == pytest.approx(0.25 * (softplus(-1) ** 2 + softplus(1) ** 2), rel=1e-6)


def test_it_goes_on_where_least_squares_turns_back():
    scores = torch.linspace(-8, 8, 65, dtype=torch.float64).requires_grad_(True)
    slopes = {}
    for loss in (LeastSquares(factor=1.0), SoftplusLeastSquares()):
        (gradient,) = torch.autograd.grad(65 * loss.generator(Critique(scores), None), scores)
        slopes[type(loss)] = gradient
    assert (slopes[LeastSquares][scores > 1] > 0).all()
    assert (slopes[SoftplusLeastSquares] < 0).all()
    # Far below the target the two agree: softplus is the identity there.
    assert slopes[SoftplusLeastSquares][0].item() == pytest.approx(slopes[LeastSquares][0].item(), rel=1e-2)
