import pytest
import torch

from ganvas_plugins.generators.dcgan import DcganGenerator


def rng():
    return torch.Generator().manual_seed(0)


def test_the_default_at_64_pixels_is_the_common_port():
    with torch.device("meta"):
        network = DcganGenerator((3, 64, 64), None)
    assert sum(p.numel() for p in network.parameters()) == 3_576_704 + 3  # and the biases of the last layer


def test_the_papers_network_narrows_from_1024_to_128_channels():
    with torch.device("meta"):
        network = DcganGenerator((3, 64, 64), None, channels=128, kernel=5)
    ups = [m for m in network.layers if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [(up.in_channels, up.out_channels) for up in ups] == [(1024, 512), (512, 256), (256, 128), (128, 3)]
    assert isinstance(network.layers[-1], torch.nn.Tanh)


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_sizes_and_range(shape, kernel):
    network = DcganGenerator(shape, None, channels=4, kernel=kernel)
    images = network(network.latents.sample(3, rng()))
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert network(network.latents.sample(1, rng())).shape == (1, *shape)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        DcganGenerator((1, 30, 30), None)


def test_the_prior_is_uniform_unless_normal_is_asked_for():
    uniform = DcganGenerator((1, 8, 8), None, channels=4).latents.sample(5000, rng())
    normal = DcganGenerator((1, 8, 8), None, channels=4, prior="normal").latents.sample(5000, rng())
    assert uniform.shape == (5000, 100)
    assert uniform.abs().max() <= 1
    assert uniform.var().item() == pytest.approx(1 / 3, rel=0.01)
    assert normal.var().item() == pytest.approx(1, rel=0.01)


def test_it_uses_its_condition():
    network = DcganGenerator((1, 8, 8), (3,), channels=4)
    latents = network.latents.sample(2, rng())
    ones = torch.eye(3)[:2]
    assert network.conditional
    assert not torch.allclose(network(latents, ones), network(latents, ones.flip(0)))
