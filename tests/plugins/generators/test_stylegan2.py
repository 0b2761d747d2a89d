import math

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

import ganvas
from ganvas.registry.documents import Mistakes
from ganvas_plugins.generators.stylegan2 import ModulatedConvolution, StyleGan2, mix


def small(shape=(1, 8, 8), condition=None, **options):
    torch.manual_seed(0)
    return StyleGan2(shape, condition, **{"channels": 4, "latent": 6, "style": 5, "mapping_layers": 2, **options})


# -- the network of the paper ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "channels", "parameters", "styles"), [(1024, 32, 30_370_060, 18), (256, 128, 30_034_338, 14)]
)
def test_config_f_has_the_published_number_of_parameters_and_styles(size, channels, parameters, styles):
    with torch.device("meta"):
        network = StyleGan2((3, size, size), None, channels=channels)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.number == styles


def test_its_layers_have_the_published_widths():
    with torch.device("meta"):
        network = StyleGan2((3, 1024, 1024), None)
    widths = [up.convolution.convolution.out_channels for up, _ in network.levels]
    assert widths == [512, 512, 512, 512, 256, 128, 64, 32]  # 8 to 1024 pixels
    assert [image.convolution.demodulate for image in network.images] == [False] * 9


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_sizes_and_the_range_in_eval_mode(shape):
    network = small(shape, mapping_rate=1.0).eval()
    with torch.no_grad():
        network.images[0].bias += 2
    images = network(torch.randn(3, 6))
    assert images.shape == (3, *shape)
    assert images.max() == 1  # clamped


def test_a_size_that_does_not_fit_is_refused_by_check_with_those_that_do(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "dataset: {use: digits, size: 30}\n"
        "stages: {gan: {use: gan, generator: stylegan2, discriminator: patch, steps: 1}}\n"
    )
    with pytest.raises(Mistakes) as caught:
        ganvas.check(spec)
    assert [str(problem).replace(str(tmp_path) + "/", "") for problem in caught.value.problems] == [
        "spec.yaml:2:37: stages.gan.generator: images of 30x30 cannot be halved down to a shorter side of 4 to 7 "
        "pixels; set the dataset's size to [28, 28] or [32, 32]"
    ]


# -- modulated convolutions --------------------------------------------------------------------------------------------


def one_by_one(layer, maps, style):
    """Equations 1 and 3 to the letter: each sample convolved with weights of its own."""
    results = []
    for sample, scales in zip(maps, layer.affine(style), strict=True):
        weight = layer.convolution.weight * scales[None, :, None, None]
        if layer.demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.filter is not None:
            results.append(layer.filter(conv_transpose2d(sample[None], weight.transpose(0, 1), stride=2)))
        else:
            results.append(conv2d(sample[None], weight, padding=weight.shape[-1] // 2))
    return torch.cat(results)


def grouped(layer, maps, style):
    """The same as one convolution with a group for each sample."""
    number, inputs = maps.shape[:2]
    weight = layer.convolution.weight[None] * layer.affine(style)[:, None, :, None, None]
    if layer.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    maps = maps.reshape(1, number * inputs, *maps.shape[2:])
    if layer.filter is not None:
        made = conv_transpose2d(maps, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=number)
        return layer.filter(made.unflatten(1, (number, -1))[0])
    return conv2d(maps, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=number).unflatten(1, (number, -1))[
        0
    ]


@pytest.mark.parametrize("twin", [one_by_one, grouped])
@pytest.mark.parametrize(
    ("kernel", "options"), [(3, {}), (3, {"up": True}), (1, {"demodulate": False}), (3, {"demodulate": False})]
)
def test_scaling_in_and_out_is_convolving_each_sample_with_its_own_weights(twin, kernel, options):
    torch.manual_seed(0)
    layer = ModulatedConvolution(4, 6, kernel, 5, **options)
    maps, style = torch.randn(3, 4, 6, 5), torch.randn(3, 5)
    expected = twin(layer, maps, style)
    torch.testing.assert_close(layer(maps, style), expected, rtol=1e-4, atol=1e-5)
    assert expected.shape == (3, 6, *((12, 10) if options.get("up") else (6, 5)))
    gradients = [
        torch.autograd.grad(made.square().sum(), list(layer.parameters()))
        for made in (layer(maps, style), twin(layer, maps, style))
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_demodulated_outputs_have_unit_deviation_whatever_the_style():
    torch.manual_seed(0)
    layer = ModulatedConvolution(64, 48, 3, 16)
    maps, style = torch.randn(4, 64, 40, 40), torch.randn(4, 16) * torch.tensor([[0.1], [1.0], [5.0], [100.0]])
    inner = layer(maps, style)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner.std((2, 3)).mean(1), torch.ones(4), rtol=0.02, atol=0)
    layer.demodulate = False
    assert layer(maps, style).std((1, 2, 3)).max() > 10


def test_the_size_of_the_scales_does_not_matter():
    layer = ModulatedConvolution(4, 6, 3, 5)
    maps, style = torch.randn(2, 4, 5, 5), torch.randn(2, 5)
    plain = layer(maps, style)
    with torch.no_grad():
        layer.affine.parametrizations.weight.original *= 7
        layer.affine.bias *= 7
    torch.testing.assert_close(layer(maps, style), plain)


def test_styles_scale_by_one_at_first():
    layer = ModulatedConvolution(4, 6, 3, 5)
    assert torch.equal(layer.affine(torch.zeros(2, 5)), torch.ones(2, 4))


# -- styles ------------------------------------------------------------------------------------------------------------


def test_a_crossover_after_the_last_layer_mixes_nothing():
    styles, others = torch.randn(3, 5), torch.randn(3, 5)
    assert torch.equal(mix(styles, others, torch.full((3,), 6), 6), styles[:, None].expand(-1, 6, -1))
    mixed = mix(styles, others, torch.tensor([1, 4, 6]), 6)
    assert [(row == own).all(1).sum().item() for row, own in zip(mixed, styles, strict=True)] == [1, 4, 6]
    assert [(row == other).all(1).sum().item() for row, other in zip(mixed, others, strict=True)] == [5, 2, 0]


def test_mixing_happens_to_its_share_of_samples_in_training_with_every_crossover():
    network = small(mixing=0.6)
    styles = network.styles(torch.randn(4000, 6))
    first = (styles == styles[:, :1]).all(2).sum(1)
    assert styles.shape == (4000, 4, 5)
    assert (first < 4).float().mean().item() == pytest.approx(0.6, abs=0.03)
    assert [(first == place).float().mean().item() for place in (1, 2, 3)] == pytest.approx([0.2] * 3, abs=0.03)


@pytest.mark.parametrize("network", [small(mixing=0.0), small().eval()])
def test_without_mixing_all_layers_have_one_style(network):
    latents = torch.randn(3, 6)
    expected = network.mapping(latents / latents.square().mean(1, keepdim=True).sqrt())
    torch.testing.assert_close(network.styles(latents), expected[:, None].expand(-1, 4, -1))


def test_the_condition_is_embedded_beside_the_latents():
    network, latents, ones = small(condition=(3,)).eval(), torch.randn(2, 6), torch.eye(3)[:2]
    assert network.mapping[0][0].in_features == 12
    assert not torch.allclose(network(latents, ones), network(latents, ones.flip(0)))


def test_the_mean_style_follows_while_training_only():
    network = small(average_decay=0.75, mixing=0.0)
    styles = network.styles(torch.randn(8, 6))[:, 0]
    torch.testing.assert_close(network.mean_style, 0.25 * styles.mean(0))
    more = network.styles(torch.randn(8, 6))[:, 0]
    torch.testing.assert_close(network.mean_style, 0.75 * 0.25 * styles.mean(0) + 0.25 * more.mean(0))
    kept = network.mean_style.clone()
    network.eval().styles(torch.randn(8, 6))
    assert torch.equal(network.mean_style, kept)


def test_truncation_pulls_styles_to_their_mean():
    network = small(mapping_rate=1.0)
    network(torch.randn(16, 6))
    network.eval()
    latents = torch.randn(3, 6)
    assert torch.equal(network.truncated(latents, None, 1.0), network(latents))
    mean = network.mean_style.expand(3, 4, -1)
    assert torch.equal(network.truncated(latents, None, 0.0), network.synthesize(mean))
    half = mean + 0.5 * (network.styles(latents) - mean)
    torch.testing.assert_close(network.truncated(latents, None, 0.5), network.synthesize(half))


# -- noise -------------------------------------------------------------------------------------------------------------


def test_noise_is_drawn_in_training_and_constant_in_eval_mode():
    network, latents = small(mixing=0.0), torch.randn(2, 6)
    assert torch.equal(network(latents), network(latents))  # its strength starts at zero
    with torch.no_grad():
        for layer in [network.first, *network.levels[0]]:
            layer.strength.fill_(0.5)
    assert not torch.equal(network(latents), network(latents))
    network.eval()
    images = network(latents)
    assert torch.equal(images, network(latents))
    torch.testing.assert_close(network(latents.flip(0)), images.flip(0))
    assert [layer.noise.shape for layer in [network.first, *network.levels[0]]] == [
        (1, 1, 4, 4),
        (1, 1, 8, 8),
        (1, 1, 8, 8),
    ]


def test_without_noise_there_is_nothing_to_draw():
    network = small(noise=False)
    assert not [name for name, _ in network.named_buffers() if name.endswith("noise")]
    assert network(torch.randn(2, 6)).shape == (2, 1, 8, 8)


def test_at_full_width_a_sample_starts_with_the_size_of_its_levels_sum():
    """Images are sums of what each level shows of unit maps: their variance is about the number of levels."""
    network = small((3, 16, 16), channels=64, style=64, mapping_layers=1, mapping_rate=1.0)
    variance = network(torch.randn(32, 6)).var().item()
    assert 1 < variance < 4 * len(network.images) * math.sqrt(2)
