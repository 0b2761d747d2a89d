"""NT-Xent in closed form, and the encoder around it."""

import math

import pytest
import torch

from ganvas_plugins.encoders.simclr import Simclr, nt_xent


def embeddings(number=6, width=5, seed=0):
    return torch.randn(2, number, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_identical_embeddings_cost_log_2n_minus_1(number, temperature):
    z = torch.ones(number, 4) * 3
    assert nt_xent(z, z, temperature).item() == pytest.approx(math.log(2 * number - 1), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_equal_pairs_and_orthogonal_others(temperature):
    number = 5
    z = torch.eye(number) * 2
    positive = math.exp(1 / temperature)
    expected = -math.log(positive / (positive + 2 * number - 2))
    assert nt_xent(z, z, temperature).item() == pytest.approx(expected, abs=1e-5)


def test_equals_the_papers_double_sum():
    first, second = embeddings().double()
    z = torch.cat([first, second])
    z = z / z.norm(dim=1, keepdim=True)
    number, total = len(first), 0.0
    for i in range(2 * number):
        j = (i + number) % (2 * number)
        others = sum(math.exp(float(z[i] @ z[k]) / 0.3) for k in range(2 * number) if k != i)
        total -= math.log(math.exp(float(z[i] @ z[j]) / 0.3) / others)
    assert nt_xent(first, second, 0.3).item() == pytest.approx(total / (2 * number), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_agrees_with_lightly(same, temperature):
    lightly = pytest.importorskip("lightly.loss", reason="pip install -e '.[reference]' brings lightly to compare with")
    theirs = lightly.NTXentLoss(temperature=temperature)
    same(lambda first, second: nt_xent(first, second, temperature), theirs)


def test_symmetric_in_views_and_pairs_and_blind_to_length():
    first, second = embeddings()
    loss = nt_xent(first, second, 0.5)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(nt_xent(second, first, 0.5), loss)
    torch.testing.assert_close(nt_xent(first[order], second[order], 0.5), loss)
    torch.testing.assert_close(nt_xent(first * 7, second, 0.5), loss)


def test_half_precision_is_computed_in_float32():
    first, second = embeddings()
    loss = nt_xent(first.bfloat16(), second.bfloat16(), 0.05)
    assert loss.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(nt_xent(first, second, 0.05), nt_xent(first, second, 0.05).float())
        inside = nt_xent(first, second, 0.05)
    assert torch.equal(inside, nt_xent(first, second, 0.05))


def test_the_gradient_pulls_a_pair_together():
    first, second = (part.clone().requires_grad_() for part in embeddings())
    before = torch.cosine_similarity(first, second).mean()
    nt_xent(first, second, 0.5).backward()
    after = torch.cosine_similarity(first - first.grad, second - second.grad).mean()
    assert after > before


def test_objective_is_nt_xent_of_the_projections(flat):
    torch.manual_seed(0)
    encoder = Simclr(flat(), temperature=0.3, projection=7)
    first, second = torch.randn(2, 4, 3, 2, 2)
    terms = encoder.objective(first, second)
    expected = nt_xent(encoder.projector(encoder.encode(first)), encoder.projector(encoder.encode(second)), 0.3)
    assert list(terms) == ["nt-xent"]
    torch.testing.assert_close(terms["nt-xent"], expected)
    torch.testing.assert_close(encoder.embeddings, encoder.encode(torch.cat([first, second])))
    terms["nt-xent"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_sizes_of_the_projector(flat):
    encoder = Simclr(flat(), projection=7)
    assert encoder.features == 16
    assert [tuple(layer.weight.shape) for layer in (encoder.projector[0], encoder.projector[2])] == [(16, 16), (7, 16)]
    assert Simclr(flat(), hidden=9).projector[0].out_features == 9
    assert len(Simclr.views) == 2
