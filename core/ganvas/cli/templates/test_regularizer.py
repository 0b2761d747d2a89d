from types import SimpleNamespace

import ganvas
import pytest
import torch
from ganvas import Critique
from ganvas.testing import conformance


@pytest.mark.parametrize("check", conformance("regularizer/template-name"))
def test_conformance(check):
    check()


def test_it_is_the_mean_square_of_the_reals_scores():
    critiques = {"real": Critique(torch.tensor([[1.0, -2.0], [0.0, 3.0]])), "fake": Critique(torch.ones(2, 2))}
    regularizer = ganvas.build("regularizer", "template-name", None)
    assert regularizer.penalty(SimpleNamespace(critique=critiques.get)).item() == pytest.approx((1 + 4 + 9) / 4)
    assert regularizer.weight.value == 0.001
    assert regularizer.joins == {"discriminator"}
