import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("optimizer/template-name"))
def test_conformance(check):
    check()


def test_under_a_constant_gradient_step_k_is_the_rate_over_the_root_of_k():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = Template(lr=0.5).build([weight])
    for _ in range(4):
        weight.grad = torch.tensor([3.0])
        optimizer.step()
    assert weight.item() == pytest.approx(-0.5 * sum(k**-0.5 for k in range(1, 5)))
