import pytest
import torch

from ganvas_plugins.generators.eigengan import EigenGan
from ganvas_plugins.regularizers.orthogonality import Orthogonality


def eigengan():
    return EigenGan((1, 16, 16), None, channels=4, noise=4, hidden=4, basis=3)


def test_orthonormal_axes_cost_nothing(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: Orthogonality(duel), generator=eigengan())
    penalty = duel.penalty(duel.regularizers[0], make_match(duel, "generator"))["penalty/orthogonality"]
    penalty.backward()
    assert penalty.item() == pytest.approx(0, abs=1e-9)
    assert all(block.subspace.axes.grad.abs().max() < 1e-4 for block in duel.generator.blocks)


def test_the_two_norms_are_those_of_the_papers(critic, make_duel, make_match):
    generator = eigengan()
    with torch.no_grad():
        for block in generator.blocks:
            block.subspace.axes.mul_(2)  # U Uᵀ - I = 3 I, in each of the two layers of three axes
    options = {"norm": "mean"}, {"norm": "frobenius", "weight": 1.0}
    duel = make_duel(
        critic(torch.ones(12)), *(lambda duel, o=o: Orthogonality(duel, **o) for o in options), generator=generator
    )
    match = make_match(duel, "generator")
    values = [next(iter(duel.penalty(regularizer, match).values())).item() for regularizer in duel.regularizers]
    assert values == pytest.approx([100 * 9 * 3 / 9, 2 * 0.5 * 9 * 3], rel=1e-4)


def test_it_joins_the_generator_only(critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: Orthogonality(duel), generator=eigengan())
    fake = torch.zeros(4, 1, 3, 4)
    assert "penalty/orthogonality" in duel.terms(make_match(duel, "generator", fake=lambda: fake))
    assert "penalty/orthogonality" not in duel.terms(make_match(duel, "discriminator", fake=lambda: fake))


def test_a_generator_without_subspaces_is_refused(critic, make_duel):
    with pytest.raises(ValueError, match="Linear has no latent subspaces"):
        make_duel(critic(torch.ones(12)), lambda duel: Orthogonality(duel))
