import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganvas_plugins.discriminators.mlp import MlpDiscriminator
from ganvas_plugins.generators.resnet import ResnetGenerator
from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.regularizers.spectral_normalisation import SpectralNormalisation


def discriminator(spectral_norm=False):
    torch.manual_seed(0)
    return MlpDiscriminator(
        (1, 3, 4), None, widths=[5], spectral_norm=spectral_norm, head=lambda f, c: LinearHead(f, c)
    )


def on(duel, **options):
    return SpectralNormalisation(duel, **options)


@pytest.mark.parametrize(
    ("network", "normalised"),
    [("discriminator", (True, False)), ("generator", (False, True)), ("both", (True, True))],
)
def test_the_layers_of_the_network_asked_for_are_normalised(make_duel, network, normalised):
    duel = make_duel(discriminator(), lambda duel: on(duel, network=network))
    assert is_parametrized(duel.discriminator.head.score) == normalised[0]
    assert is_parametrized(duel.generator.layer) == normalised[1]


def test_it_does_what_the_option_of_the_network_does(make_duel, make_match):
    duel = make_duel(discriminator(), lambda duel: on(duel, iterations=300))
    option = discriminator(spectral_norm=True)
    assert list(duel.discriminator.state_dict()) == list(option.state_dict())
    norms = [
        torch.linalg.matrix_norm(layer.weight, ord=2).item()
        for layer in duel.discriminator.modules()
        if isinstance(layer, nn.Linear)
    ]
    assert norms == pytest.approx([1, 1], abs=1e-4)
    assert duel.regularizers[0].penalty(make_match(duel)) is None


def test_what_is_normalised_already_stays(make_duel):
    normalised = discriminator(spectral_norm=True)
    state = {name: value.clone() for name, value in normalised.state_dict().items()}
    duel = make_duel(normalised, on)
    assert all(torch.equal(value, state[name]) for name, value in duel.discriminator.state_dict().items())


def test_the_norms_of_a_conditional_generator_are_left_finite(make_duel):
    generator = ResnetGenerator((1, 8, 8), (3,), channels=4, latent=4)
    duel = make_duel(discriminator(), lambda duel: on(duel, network="generator"), generator=generator)
    made = duel.generator(torch.randn(2, 4), torch.eye(3)[:2])
    assert made.isfinite().all()
    assert not is_parametrized(duel.generator.blocks[0].norm1.linear["gain"])


def test_a_network_without_such_a_layer_is_refused(critic, make_duel):
    with pytest.raises(ValueError) as refusal:
        make_duel(critic(torch.ones(12)), on)
    assert str(refusal.value) == (
        "LinearCritic has no layer to normalise spectrally; leave out spectral-normalisation, or name the other network"
    )
