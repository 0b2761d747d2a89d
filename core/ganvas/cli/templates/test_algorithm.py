import math
from types import SimpleNamespace

import ganvas
import pytest
import torch
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("algorithm/template-name"))
def test_conformance(check):
    check()


def test_where_the_discriminator_knows_nothing_the_losses_are_log_4_and_log_2():
    data = ganvas.Data(ganvas.build("dataset", "digits"))
    algorithm = Template(data, hidden=8)
    torch.nn.init.zeros_(algorithm.discriminator[-2].weight)
    torch.nn.init.zeros_(algorithm.discriminator[-2].bias)
    batch = next(data.batches(16))
    step = SimpleNamespace(batch=batch, rng=torch.Generator().manual_seed(0), log=lambda name, value: None)
    assert algorithm.discriminator_terms(step)["adversarial"].item() == pytest.approx(math.log(4))
    assert algorithm.generator_terms(step)["adversarial"].item() == pytest.approx(math.log(2))
    assert algorithm.sample(3).shape == (3, 1, 8, 8)
