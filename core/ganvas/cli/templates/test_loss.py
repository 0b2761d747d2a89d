import math

import pytest
import torch
from ganvas import Critique
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("loss/template-name"))
def test_conformance(check):
    check()


def test_only_differences_of_scores_count():
    scores = torch.tensor([0.5, -1.0, 2.0])
    loss = Template()
    assert loss.discriminator(Critique(scores * 0 + 3), Critique(scores * 0 + 3)).item() == pytest.approx(math.log(4))
    real, fake = Critique(scores), Critique(scores.flip(0) - 1)
    moved = Critique(scores + 7), Critique(scores.flip(0) + 6)
    assert loss.discriminator(*moved).item() == pytest.approx(loss.discriminator(real, fake).item(), rel=1e-5)
    # one real at 1 and one fake at 0: both differences are 1
    apart = Critique(torch.ones(1)), Critique(torch.zeros(1))
    assert loss.discriminator(*apart).item() == pytest.approx(2 * math.log(1 + math.exp(-1)))
    assert loss.generator(apart[1], apart[0]).item() == pytest.approx(2 * math.log(1 + math.exp(1)))
