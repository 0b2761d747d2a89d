import pytest
import torch

from ganvas_plugins.discriminators.mlp import MlpDiscriminator
from ganvas_plugins.heads.linear import LinearHead


def head(features, condition):
    return LinearHead(features, condition)


def test_the_default_for_mnist_has_the_widths_of_the_common_network():
    with torch.device("meta"):
        network = MlpDiscriminator((1, 28, 28), None, head=head)
    shapes = [tuple(p.shape) for p in network.parameters() if p.dim() == 2]
    assert shapes == [(1024, 784), (512, 1024), (256, 512), (1, 256)]
    assert sum(p.numel() for p in network.parameters()) == 1_460_225


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 28, 28), (3, 5, 7), (3, 2, 4, 4)])
def test_samples_have_any_shape_and_the_layers_are_named(shape):
    network = MlpDiscriminator(shape, None, widths=[8, 5], head=head)
    critique = network(torch.randn(3, *shape))
    assert critique.scores.shape == (3,)
    assert critique.features.shape == (3, 5)
    assert {name: tuple(value.shape) for name, value in critique.layers.items()} == {"level0": (3, 8), "level1": (3, 5)}
    assert network.layers == ("level0", "level1")


def test_it_is_the_composition_of_its_layers():
    torch.manual_seed(0)
    network = MlpDiscriminator((2, 1, 1), (3,), widths=[4], head=head, conditional=True)
    samples, condition = torch.randn(5, 2, 1, 1), torch.eye(3)[[0, 1, 2, 0, 1]]
    dense = network.blocks["level0"][1]
    hidden = torch.cat([samples[:, :, 0, 0], condition], dim=1) @ dense.weight.T + dense.bias
    expected = network.head.score(torch.where(hidden > 0, hidden, 0.2 * hidden))[:, 0]
    torch.testing.assert_close(network(samples, condition).scores, expected)


def test_dropout_is_on_in_training_only():
    network = MlpDiscriminator((2, 1, 1), None, widths=[200], dropout=0.3, head=head)
    samples = torch.randn(1, 2, 1, 1).expand(50, -1, -1, -1)
    dropped = (network(samples).features == 0).float().mean().item()
    assert dropped == pytest.approx(0.3, abs=0.02)
    assert not (network.eval()(samples).features == 0).any()


def test_with_spectral_norm_it_is_a_contraction():
    # Each layer is 1-Lipschitz, and so is leaky ReLU.
    torch.manual_seed(0)
    network = MlpDiscriminator((3, 4, 4), None, widths=[16, 8], spectral_norm=True, head=head)
    for _ in range(50):
        network(torch.randn(2, 3, 4, 4))
    samples = torch.randn(64, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.eval()(samples).scores.sum(), samples)
    slopes = gradient.flatten(1).norm(dim=1)
    assert slopes.max() <= 1 + 1e-4
    assert slopes.max() > 0.01


def test_a_condition_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="conditional: true needs a condition"):
        MlpDiscriminator((2, 1, 1), None, head=head, conditional=True)
