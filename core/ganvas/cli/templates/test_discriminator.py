import ganvas
import pytest
import torch
from ganvas.testing import conformance


@pytest.mark.parametrize("check", conformance("discriminator/template-name"))
def test_conformance(check):
    check()


def test_without_a_kink_the_score_of_a_mean_is_the_mean_of_the_scores():
    options = {"use": "template-name", "channels": 4, "slope": 1.0, "conditional": True}
    discriminator = ganvas.build("discriminator", options, (3, 17, 12), (5,))
    images, condition = torch.randn(2, 3, 17, 12), torch.eye(5)[:2]
    critique = discriminator(images, condition)
    between = discriminator(images.mean(0, keepdim=True), condition.mean(0, keepdim=True))
    assert between.scores.item() == pytest.approx(critique.scores.mean().item(), rel=1e-4, abs=1e-5)
    assert [tuple(maps.shape[1:]) for maps in critique.layers.values()] == [(4, 9, 6), (8, 5, 3), (16, 3, 2)]
    assert critique.features.shape == (2, 16)
