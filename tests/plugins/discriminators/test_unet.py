import pytest
import torch
from torch import nn
from torch.nn.functional import relu, softplus

from ganvas import Critique, Head
from ganvas_plugins.discriminators.unet import UnetDiscriminator
from ganvas_plugins.heads.linear import LinearHead


def small(shape=(1, 16, 16), condition=None, **options):
    return UnetDiscriminator(shape, condition, **{"channels": 4, "head": LinearHead, **options})


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_every_pixel_has_a_score_and_the_image_has_one(shape):
    critique = small(shape)(torch.randn(3, *shape))
    _, height, width = shape
    assert critique.scores.shape == (3, 2 * height, width)
    assert critique.layers["pixels"].shape == (3, 1, height, width)
    assert torch.equal(critique.scores[:, :height], critique.layers["pixels"][:, 0])
    assert (critique.scores[:, height:] == critique.scores[:, height:, :1]).all()
    assert critique.features.shape[0] == 3


@pytest.mark.parametrize("loss", [lambda s: relu(1 - s), softplus, lambda s: s, lambda s: (s - 1).square()])
def test_the_mean_over_scores_is_half_of_the_sum_of_both_objectives(loss):
    network = small()
    critique = network(torch.randn(5, 1, 16, 16))
    image = network.head(critique.features).scores
    expected = (loss(image).mean() + loss(critique.layers["pixels"]).mean()) / 2
    torch.testing.assert_close(loss(critique.scores).mean(), expected)


def test_the_decoder_takes_in_the_encoders_maps():
    network = small((1, 32, 32))
    assert network.layers == (
        "encoder0",
        "encoder1",
        "encoder2",
        "decoder2",
        "decoder1",
        "decoder0",
        "pixels",
    )
    maps = network(torch.randn(1, 1, 32, 32)).layers
    assert [tuple(maps[name].shape[1:]) for name in network.layers] == [
        (4, 16, 16),
        (8, 8, 8),
        (16, 4, 4),
        (8, 8, 8),
        (4, 16, 16),
        (4, 32, 32),
        (1, 32, 32),
    ]
    assert [block.first.in_channels for block in network.decoder.values()] == [16, 16, 8]


def test_a_pixels_score_sees_the_whole_image():
    network, images = small(spectral_norm=False), torch.randn(1, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).layers["pixels"][0, 0, 0, 0], images)
    assert slope[0, 0, 8:, 8:].any()


def test_weights_are_normalised_spectrally_unless_asked_otherwise():
    network = small()
    for _ in range(30):
        network(torch.randn(1, 1, 16, 16))
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for layer in layers(network.eval())]
    torch.testing.assert_close(torch.stack(norms), torch.ones(len(norms)), rtol=0.1, atol=0)
    plain = sum(p.numel() for p in small(spectral_norm=False).parameters())
    assert plain == sum(p.numel() for p in network.parameters())
    assert not any("parametrizations" in name for name in small(spectral_norm=False).state_dict())


def layers(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def test_a_score_is_one_samples_own():
    network, images = small().eval(), torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(network(images).scores[:1], network(images[:1]).scores)


def test_it_uses_its_condition_only_when_asked_to():
    images, ones = torch.randn(2, 1, 16, 16), torch.eye(3)[:2]
    asked, silent = (small(condition=(3,), conditional=asked).eval() for asked in (True, False))
    assert (asked.conditional, silent.conditional) == (True, False)
    assert not torch.equal(asked(images, ones).scores, asked(images, ones.flip(0)).scores)
    assert torch.equal(silent(images, ones).scores, silent(images, ones.flip(0)).scores)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        small((1, 30, 30))


def test_a_head_that_gives_more_than_scores_is_refused():
    class Sliced(Head):
        gives = frozenset({"direction"})

        def __init__(self, features, condition):
            super().__init__()

        def forward(self, features, condition=None):
            return Critique(features.mean(1))

    with pytest.raises(ValueError) as caught:
        small(head=Sliced)
    assert str(caught.value) == (
        "unet has a head for the image and one for its pixels and puts their scores side by side; it cannot do so with "
        "what else Sliced gives; use head: linear"
    )


def test_a_gradient_penalty_reaches_every_weight():
    network, images = small(spectral_norm=False), torch.randn(2, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).scores.sum(), images, create_graph=True)
    slope.flatten(1).square().sum(1).mean().backward()
    assert all(p.grad.any() for name, p in network.named_parameters() if name.endswith("weight"))
