import pytest
import torch

from ganvas_plugins.generators.mlp import MlpGenerator


def rng():
    return torch.Generator().manual_seed(0)


def test_the_default_for_mnist_has_the_widths_of_the_common_network():
    with torch.device("meta"):
        network = MlpGenerator((1, 28, 28), None)
    shapes = [tuple(p.shape) for p in network.parameters() if p.dim() == 2]
    assert shapes == [(256, 100), (512, 256), (1024, 512), (784, 1024)]
    assert sum(p.numel() for p in network.parameters()) == 1_486_352


def test_it_is_the_composition_of_its_layers():
    torch.manual_seed(0)
    network = MlpGenerator((2, 1, 1), None, latent=3, widths=[4])
    latents = network.latents.sample(5, rng())
    first, last = network.layers[0], network.layers[-1]
    hidden = latents @ first.weight.T + first.bias
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    made = network(latents)
    assert made.shape == (5, 2, 1, 1)
    torch.testing.assert_close(made.flatten(1), torch.tanh(hidden @ last.weight.T + last.bias))


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 28, 28), (3, 5, 7), (3, 2, 4, 4)])
def test_samples_have_any_shape(shape):
    network = MlpGenerator(shape, (3,), widths=[8], norm="batch", prior="uniform")
    latents, ones = network.latents.sample(4, rng()), torch.eye(3)[[0, 1, 2, 0]]
    assert latents.abs().max() <= 1
    assert network(latents, ones).shape == (4, *shape)
    assert network.eval()(latents[:1], ones[:1]).shape == (1, *shape)
    assert not torch.allclose(network(latents, ones), network(latents, ones.flip(0)))


def test_batch_norm_comes_after_every_hidden_layer_and_takes_its_bias():
    network = MlpGenerator((1, 4, 4), None, latent=3, widths=[4, 5], norm="batch")
    assert [type(layer).__name__ for layer in network.layers] == [
        *["Linear", "BatchNorm1d", "LeakyReLU"] * 2,
        "Linear",
    ]
    assert [layer.bias is None for layer in network.layers if isinstance(layer, torch.nn.Linear)] == [True, True, False]
