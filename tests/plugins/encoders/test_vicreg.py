"""VICReg: its three terms in closed form."""

import math

import pytest
import torch

from ganvas_plugins.encoders.vicreg import Vicreg, covariance, invariance, variance


def pair(number=6, width=5, seed=0):
    return torch.randn(2, number, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_a_collapsed_batch():
    z = torch.full((4, 3), 2.0)
    assert invariance(z, z + 1).item() == 1
    assert variance(z, z).item() == pytest.approx(2 * (1 - math.sqrt(1e-4)), rel=1e-6)
    assert covariance(z, z).item() == 0


def test_no_term_is_left_for_spread_uncorrelated_agreeing_embeddings():
    z = torch.linalg.qr(pair(64)[0] - pair(64)[0].mean(0)).Q * 64
    assert invariance(z, z).item() == 0
    assert variance(z, z).item() == 0
    assert covariance(z, z).item() == pytest.approx(0, abs=1e-12)


def test_variance_and_covariance_are_unbiased():
    first, second = pair()
    lacking = [(1 - (part.var(0, unbiased=True) + 1e-4).sqrt()).clamp(min=0).mean() for part in (first, second)]
    torch.testing.assert_close(variance(first, second), sum(lacking))
    total = 0.0
    for part in (first, second):
        matrix = torch.cov(part.T)
        total += sum(float(matrix[i, j]) ** 2 for i in range(5) for j in range(5) if i != j) / 5
    assert covariance(first, second).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.slow
def test_agrees_with_lightly(same):
    lightly = pytest.importorskip("lightly.loss", reason="pip install -e '.[reference]' brings lightly to compare with")

    def ours(first, second):
        return 25 * invariance(first, second) + 25 * variance(first, second) + covariance(first, second)

    # It takes the mean of the variance terms where the paper's equation 6 has their sum.
    same(ours, lightly.VICRegLoss(lambda_param=25, mu_param=50, nu_param=1))


def test_the_objective_weighs_the_terms_of_the_projections(flat):
    torch.manual_seed(0)
    encoder = Vicreg(flat(), invariance=2, variance=3, covariance=5, projection=6).double()
    first, second = torch.randn(2, 5, 3, 2, 2, dtype=torch.float64)
    z = [encoder.projector(encoder.backbone(view)) for view in (first, second)]
    terms = encoder.objective(first, second)
    expected = {"invariance": 2 * invariance(*z), "variance": 3 * variance(*z), "covariance": 5 * covariance(*z)}
    torch.testing.assert_close(terms, expected)
    torch.testing.assert_close(encoder.objective(second, first), terms)
    torch.testing.assert_close(encoder.embeddings, encoder.encode(torch.cat([second, first])))
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_widths(flat):
    def widths(encoder):
        return [layer.out_features for layer in encoder.projector if isinstance(layer, torch.nn.Linear)]

    assert widths(Vicreg(flat())) == [64, 64, 64]
    assert widths(Vicreg(flat(), projection=6, hidden=9)) == [9, 9, 6]
