import pytest
import torch
from torch.nn.functional import leaky_relu

from ganvas_plugins.generators.eigengan import EigenBlock, EigenGan, Subspace


def rng():
    return torch.Generator().manual_seed(0)


def small(condition=None, **options):
    return EigenGan((1, 16, 16), condition, **{"channels": 4, "noise": 5, "hidden": 8, "basis": 3} | options)


def test_latents_are_noise_and_one_group_per_layer():
    network = EigenGan((3, 64, 64), None, noise=7, hidden=4, channels=2)
    assert network.latents.groups == {"noise": 7, "layer0": 6, "layer1": 6, "layer2": 6, "layer3": 6}
    assert not network.conditional


def test_widths_at_64_pixels_are_the_papers():
    with torch.device("meta"):
        network = EigenGan((3, 64, 64), (10,))
    assert [block.subspace.shape[0] for block in network.blocks] + [network.image.in_channels] == [256, 128, 64, 32, 16]
    with torch.device("meta"):
        large = EigenGan((3, 256, 256), (10,))
    assert [block.subspace.shape[0] for block in large.blocks] == [512, 512, 256, 128, 64, 32]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 48, 64)])
def test_sizes_and_range(shape):
    network = EigenGan(shape, (3,), channels=2, noise=4, hidden=8)
    images = network(network.latents.sample(2, rng()), torch.eye(3)[:2])
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1


def test_axes_start_orthonormal_and_scales_as_in_the_paper():
    subspace = Subspace(6, (4, 5, 6))
    torch.testing.assert_close(subspace.basis_vectors @ subspace.basis_vectors.T, torch.eye(6), atol=1e-5, rtol=0)
    assert subspace.scales.tolist() == [18, 15, 12, 9, 6, 3]
    assert not subspace.origin.any()


def test_a_point_is_the_origin_plus_scaled_axes():
    subspace = Subspace(3, (2, 3, 4))
    torch.nn.init.normal_(subspace.origin)
    origin = subspace.origin.view(2, 3, 4)
    torch.testing.assert_close(subspace(torch.zeros(1, 3))[0], origin)
    z = torch.tensor([[0.0, 0.4, 0.0]])
    once, twice = subspace(z)[0] - origin, subspace(2 * z)[0] - origin
    torch.testing.assert_close(twice, 2 * once)
    torch.testing.assert_close(once.flatten(), 0.4 * subspace.scales[1] * subspace.basis_vectors[1])


def test_a_block_is_the_papers_formula():
    block = EigenBlock((4, 5, 6), 3, 2, False)
    torch.nn.init.normal_(block.subspace.origin)
    maps, z = torch.randn(7, 4, 5, 6), torch.randn(7, 2)
    point = block.subspace(z)
    h = block.up(leaky_relu(maps + block.enter_small(point), 0.2))
    expected = block.refine(leaky_relu(h + block.enter_large(point), 0.2))
    torch.testing.assert_close(block(maps, z), expected, atol=1e-4, rtol=1e-4)
    assert expected.shape == (7, 3, 10, 12)


def test_flipping_an_axis_and_its_latent_changes_nothing():
    network = small()
    latents = network.latents.sample(2, rng())
    before = network(latents)
    with torch.no_grad():
        network.blocks[1].subspace.axes[2].neg_()
    flipped = latents.clone()
    flipped[:, network.latents.slice("layer1").start + 2].neg_()
    assert not torch.allclose(network(latents), before)
    torch.testing.assert_close(network(flipped), before)


def test_every_part_of_the_input_matters():
    network = small(condition=(3,))
    latents, condition = network.latents.sample(1, rng()), torch.eye(3)[:1]
    image = network(latents, condition)
    assert not torch.allclose(network(latents, torch.eye(3)[1:2]), image)
    for group in network.latents.groups:
        moved = latents.clone()
        moved[:, network.latents.slice(group)] += 1
        assert not torch.allclose(network(moved, condition), image), group


def test_gradients_reach_every_parameter():
    network = small(condition=(3,))
    network(network.latents.sample(4, rng()), torch.eye(3)[[0, 1, 2, 0]]).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_orthonormal_axes_stay_so_after_updates():
    network = small(orthonormal=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        network(network.latents.sample(4, rng())).sum().backward()
        optimizer.step()
    for block in network.blocks:
        basis = block.subspace.basis_vectors
        torch.testing.assert_close(basis @ basis.T, torch.eye(3), atol=1e-5, rtol=0)
        drift = block.subspace.axes @ block.subspace.axes.T - torch.eye(3)
        assert drift.abs().max() > 1e-4


def test_orthonormalising_is_gram_and_schmidts():
    subspace = Subspace(3, (1, 2, 4), orthonormal=True)
    torch.nn.init.normal_(subspace.axes)
    done = []
    for axis in subspace.axes.detach():
        for earlier in done:
            axis = axis - (axis @ earlier) * earlier
        done.append(axis / axis.norm())
    torch.testing.assert_close(subspace.basis_vectors, torch.stack(done))


def test_one_linear_layer_finds_the_principal_axes():
    generator = rng()
    data = torch.randn(2000, 8, generator=generator) * torch.tensor([5.0, 3.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1])
    data = data @ torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    principal = torch.linalg.svd(data, full_matrices=False).Vh[:2]
    subspace = Subspace(2, (2, 2, 2), orthonormal=True)
    optimizer = torch.optim.Adam([subspace.axes], 0.05)
    for _ in range(200):
        basis = subspace.basis_vectors
        loss = (data - subspace((data @ basis.T) / subspace.scales).flatten(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    cosines = torch.linalg.svdvals(principal @ subspace.basis_vectors.T)
    assert cosines.min() > 0.999


def test_more_axes_than_numbers_are_refused():
    with pytest.raises(ValueError, match="set basis to 16 or less"):
        Subspace(17, (1, 4, 4))
