"""Barlow Twins: the cross-correlation and the loss in closed form."""

import pytest
import torch

from ganvas_plugins.encoders.barlow_twins import BarlowTwins, cross_correlation


def whitened(number=64, width=5):
    """Columns of mean 0 and variance 1 that are uncorrelated."""
    z = torch.randn(number, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.linalg.qr(z - z.mean(0)).Q * number**0.5


def loss(redundancy):
    """The objective's sum over raw embeddings: the network around it is the identity."""

    def computed(first, second):
        encoder = BarlowTwins(Same(first.shape[1]), redundancy=redundancy)
        encoder.projector = torch.nn.Identity()
        return sum(encoder.objective(first, second).values())

    return computed


class Same(torch.nn.Identity):
    def __init__(self, features):
        super().__init__()
        self.features = features


def test_the_loss_is_zero_for_identical_whitened_views():
    z = whitened()
    torch.testing.assert_close(cross_correlation(z, z), torch.eye(5, dtype=torch.float64), rtol=1e-4, atol=1e-4)
    assert loss(1.0)(z, z).item() == pytest.approx(0, abs=1e-8)


def test_dimensions_that_repeat_each_other_and_views_that_contradict():
    z = whitened()[:, :1].expand(-1, 4)
    assert loss(0.5)(z, z).item() == pytest.approx(0.5 * 4 * 3, rel=1e-4)  # every pair of dimensions correlates fully
    assert loss(0.0)(z, -z).item() == pytest.approx(4 * 2**2, rel=1e-4)


def test_the_correlation_is_that_of_the_batch_whatever_mean_and_scale():
    first, second = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrix = torch.corrcoef(torch.cat([first, second], dim=1).T)[:4, 4:]
    torch.testing.assert_close(cross_correlation(first, second), matrix, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(cross_correlation(first * 300 + 5, second * 200 - 3), matrix, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_agrees_with_lightly(same):
    lightly = pytest.importorskip("lightly.loss", reason="pip install -e '.[reference]' brings lightly to compare with")
    same(loss(5e-3), lightly.BarlowTwinsLoss(lambda_param=5e-3))
    same(loss(0.3), lightly.BarlowTwinsLoss(lambda_param=0.3))


def test_the_objective_takes_the_projections_of_each_view(flat):
    torch.manual_seed(0)
    encoder = BarlowTwins(flat(), redundancy=0.1, projection=6).double()
    first, second = torch.randn(2, 5, 3, 2, 2, dtype=torch.float64)
    matrix = cross_correlation(*(encoder.projector(encoder.backbone(view)) for view in (first, second)))
    terms = encoder.objective(first, second)
    off = matrix - torch.diag(matrix.diagonal())
    expected = {"invariance": (matrix.diagonal() - 1).square().sum(), "redundancy": 0.1 * off.square().sum()}
    torch.testing.assert_close(terms, expected)
    torch.testing.assert_close(encoder.embeddings, encoder.encode(torch.cat([first, second])))
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_widths(flat):
    def widths(encoder):
        return [layer.out_features for layer in encoder.projector if isinstance(layer, torch.nn.Linear)]

    assert widths(BarlowTwins(flat())) == [64, 64, 64]
    assert widths(BarlowTwins(flat(), projection=6)) == [6, 6, 6]
    assert widths(BarlowTwins(flat(), projection=6, hidden=9)) == [9, 9, 6]
