"""SimSiam: its loss, and where the gradient stops."""

import pytest
import torch
from torch import nn

from ganvas_plugins.encoders.simsiam import Simsiam, negative_cosine


@pytest.mark.parametrize("number", [1, 3])
def test_equal_opposite_and_orthogonal(number):
    p = torch.eye(4)[:number]
    assert negative_cosine(p * 3, p).item() == pytest.approx(-1)
    assert negative_cosine(-p, p).item() == pytest.approx(1)
    assert negative_cosine(p.roll(1, 1), p).item() == pytest.approx(0)


def test_the_gradient_stops_at_the_projection():
    p, z = torch.randn(2, 3, 4, requires_grad=True).unbind()
    assert torch.autograd.grad(negative_cosine(p, z), z, allow_unused=True, retain_graph=True) == (None,)
    (gradient,) = torch.autograd.grad(negative_cosine(p, z), p)
    assert gradient.any()


@pytest.mark.slow
def test_agrees_with_lightly(same):
    lightly = pytest.importorskip("lightly.loss", reason="pip install -e '.[reference]' brings lightly to compare with")
    theirs = lightly.NegativeCosineSimilarity()
    same(negative_cosine, lambda p, z: theirs(p, z.detach()), sizes=((1, 4), (7, 5), (64, 33)))


def test_the_objective_is_the_mean_of_both_orders(flat):
    torch.manual_seed(0)
    encoder = Simsiam(flat()).double()
    first, second = torch.randn(2, 5, 3, 2, 2, dtype=torch.float64)
    z1, z2 = (encoder.projector(encoder.backbone(view)) for view in (first, second))
    expected = (negative_cosine(encoder.predictor(z1), z2) + negative_cosine(encoder.predictor(z2), z1)) / 2
    terms = encoder.objective(first, second)
    torch.testing.assert_close(terms, {"negative-cosine": expected})
    torch.testing.assert_close(encoder.objective(second, first), terms)
    torch.testing.assert_close(encoder.embeddings, encoder.encode(torch.cat([second, first])))
    terms["negative-cosine"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_widths_and_norms(flat):
    encoder = Simsiam(flat())
    assert [layer.out_features for layer in encoder.projector.modules() if isinstance(layer, nn.Linear)] == [16] * 3
    assert [layer.affine for layer in encoder.projector.modules() if isinstance(layer, nn.BatchNorm1d)] == [1, 1, 0]
    assert [layer.out_features for layer in encoder.predictor if isinstance(layer, nn.Linear)] == [4, 16]
    encoder = Simsiam(flat(), projection=8, bottleneck=3)
    assert [layer.out_features for layer in encoder.predictor if isinstance(layer, nn.Linear)] == [3, 8]
