import math
from types import SimpleNamespace

import pytest
import torch
from ganvas import Critique, Latents
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("sampler/template-name"))
def test_conformance(check):
    check()


def test_of_two_candidates_the_likelier_is_drawn_as_often_as_its_score_says():
    def discriminator(images, condition):  # positive ones are three times as likely
        return Critique((images.flatten(1).sum(1) > 0) * math.log(3))

    algorithm = SimpleNamespace(
        products=lambda: {"generator": SimpleNamespace(latents=Latents({"z": 1})), "discriminator": discriminator},
        generate=lambda latents, condition: latents[:, :, None, None],
        condition=None,
    )
    number, rng = 20_000, torch.Generator().manual_seed(0)
    images = Template(SimpleNamespace(algorithm=algorithm), candidates=2).sample(number, None, rng)
    # a quarter of the pairs are positive, half are mixed
    expected = 1 / 4 + 1 / 2 * 3 / 4
    deviation = math.sqrt(expected * (1 - expected) / number)
    assert (images > 0).float().mean().item() == pytest.approx(expected, abs=4 * deviation)
