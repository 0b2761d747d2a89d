import pytest
import torch

from ganvas_plugins.regularizers.mode_seeking import ModeSeeking


@pytest.mark.parametrize(("slope", "weight", "eps"), [(0.5, 1.0, 1e-5), (-2.0, 3.0, 1e-5), (0.25, 1.0, 0.75)])
def test_a_linear_generator_pays_for_its_slope(slope, weight, eps, critic, linear_generator, make_duel, make_match):
    """Of one latent, d(G(z₁), G(z₂)) / d(z₁, z₂) is the mean of |w|, whatever the latents."""
    generator = linear_generator(torch.full((12, 1), slope))
    options = {"weight": weight, "eps": eps}
    duel = make_duel(critic(torch.ones(12)), lambda duel: ModeSeeking(duel, **options), generator=generator)
    term = duel.terms(make_match(duel, "generator"))["penalty/modeseeking"]
    assert term.item() == pytest.approx(weight / (abs(slope) + eps), rel=1e-5)
    term.backward()
    gradient = -weight / (abs(slope) + eps) ** 2 * (1 if slope > 0 else -1) / 12
    torch.testing.assert_close(generator.weight.grad, torch.full((12, 1), gradient))


def test_both_distances_are_means_over_the_batch_and_the_numbers(critic, linear_generator, make_duel, make_match):
    generator = linear_generator(torch.arange(24.0).view(12, 2) / 10)
    duel = make_duel(critic(torch.ones(12)), lambda duel: ModeSeeking(duel), generator=generator)
    match = make_match(duel, "generator")
    others = generator.latents.sample(4, make_match(duel).step.rng)
    apart = (generator(others) - match.fake).abs().mean() / (others - match.latents).abs().mean()
    assert duel.terms(match)["penalty/modeseeking"].item() == pytest.approx(1 / (apart.item() + 1e-5), rel=1e-5)


def test_a_generator_that_ignores_its_latents_pays_the_inverse_of_eps(critic, linear_generator, make_duel, make_match):
    duel = make_duel(
        critic(torch.ones(12)), lambda duel: ModeSeeking(duel, eps=0.01), generator=linear_generator(torch.zeros(12, 2))
    )
    assert duel.terms(make_match(duel, "generator"))["penalty/modeseeking"].item() == pytest.approx(100)


def test_both_samples_are_of_the_same_condition(critic, linear_generator, make_duel, make_match):
    generator = linear_generator(torch.full((12, 1), 0.5))
    duel = make_duel(critic(torch.ones(12)), lambda duel: ModeSeeking(duel), generator=generator)
    condition = torch.tensor([[0.0], [10.0], [20.0], [30.0]])
    match = make_match(duel, "generator", condition_fake=condition)
    assert match.fake.mean((1, 2, 3))[3] > 20
    assert duel.terms(match)["penalty/modeseeking"].item() == pytest.approx(1 / (0.5 + 1e-5), rel=1e-4)


def test_a_translator_is_refused(critic, make_duel):
    with pytest.raises(ValueError) as error:
        make_duel(critic(torch.ones(12)), lambda duel: ModeSeeking(duel))
    assert str(error.value) == (
        "mode-seeking changes the latents that samples are made from, and Linear has none; leave out mode-seeking"
    )
