import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate

from ganvas import Backbone, Critique, Head
from ganvas_plugins.backbones.timm import Timm
from ganvas_plugins.discriminators.projected import ProjectedDiscriminator, RandomProjection
from ganvas_plugins.heads.linear import LinearHead

SHAPE = (1, 32, 32)


def resnet(shape):
    return Timm(shape, model="test_resnet", stem="original")


def projected(shape=SHAPE, condition=None, **options):
    torch.manual_seed(0)
    return ProjectedDiscriminator(shape, condition, **{"network": resnet, "channels": 8, "head": LinearHead} | options)


class Pyramid(Backbone):
    """A map at a quarter of the size, and others at half the size of the one before."""

    features = 3

    def __init__(self, shape):
        super().__init__()
        self.layer = nn.Conv2d(shape[0], 3, 4, stride=4)

    def forward(self, images):
        return self.feature_maps(images)["l3"].mean((2, 3))

    def feature_maps(self, images):
        value = self.layer(images)
        return {f"l{level}": nn.functional.avg_pool2d(value, 2**level) for level in range(4)}


class Named(Head):
    gives = frozenset({"direction"})

    def __init__(self, features, condition):
        super().__init__()

    def forward(self, features, condition=None):
        return Critique(features.mean(1))


class Conditional(LinearHead):
    conditional = True

    def forward(self, features, condition=None):
        return Critique(super().forward(features).scores + condition[:, 0, None, None])


def test_at_256_pixels_each_scale_has_four_by_four_scores():
    with torch.device("meta"):
        network = projected((3, 256, 256), network=Pyramid, channels=16)
        critique = network(torch.empty(2, 3, 256, 256))
    # 64, 32, 16 and 8 places each way take 4, 3, 2 and 1 halvings to 4
    assert [sum(isinstance(m, nn.Conv2d) for m in judge[0]) for judge in network.judges] == [4, 3, 2, 1]
    assert {name: tuple(value.shape) for name, value in critique.layers.items()} == {
        f"l{level}": (2, 16, 4, 4) for level in range(4)
    }
    assert critique.scores.shape == (2, 4 * 16)
    assert critique.features.shape == (2, 16, 4 * 16)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (24, 40)])
def test_small_maps_are_judged_too(size):
    network = projected((1, *size))
    critique = network(torch.randn(2, 1, *size))
    places = sum(value[0, 0].numel() for value in critique.layers.values())
    assert len(critique.layers) == 4
    assert critique.scores.shape == (2, places)


def test_the_projections_are_those_of_the_paper():
    torch.manual_seed(0)
    maps = [torch.randn(2, width, size, size) for width, size in ((3, 8), (4, 4), (5, 3))]
    mix = RandomProjection([3, 4, 5], "scales")
    a, b = [layer.weight for layer in mix.channels], [layer.weight for layer in mix.scales]
    assert [tuple(w.shape) for w in (*a, *b)] == [
        (3, 3, 1, 1),
        (4, 4, 1, 1),
        (5, 5, 1, 1),
        (3, 4, 3, 3),
        (4, 5, 3, 3),
    ]

    def up(value, size):
        return interpolate(value, (size, size), mode="bilinear")

    coarse = conv2d(maps[2], a[2])
    middle = conv2d(maps[1], a[1]) + up(conv2d(coarse, b[1], padding=1), 4)
    fine = conv2d(maps[0], a[0]) + up(conv2d(middle, b[0], padding=1), 8)
    for found, expected in zip(mix(maps), (fine, middle, coarse)):
        torch.testing.assert_close(found, expected)
    alone = RandomProjection([3, 4, 5], "channels")
    torch.testing.assert_close(alone(maps)[0], conv2d(maps[0], alone.channels[0].weight))
    assert RandomProjection([3, 4, 5], "none")(maps) == maps
    assert not any(p.requires_grad for p in mix.parameters())


def test_mixing_channels_keeps_the_size_of_a_map():
    torch.manual_seed(0)
    value = torch.randn(8, 256, 16, 16)
    assert RandomProjection([256], "channels")([value])[0].std().item() == pytest.approx(1, abs=0.05)


def test_every_layer_that_is_trained_has_spectral_norm_one():
    network = projected().train()
    for _ in range(200):  # power iterations
        network(torch.randn(1, *SHAPE))
    network.eval()
    for layer in network.judges.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-2)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith("judges.") for name in trained)


def test_network_and_projections_stay_as_they_are_and_are_saved():
    network = projected().train()
    fixed = {name: v.clone() for name, v in network.state_dict().items() if not name.startswith("judges.")}
    assert any(name.endswith("running_mean") for name in fixed)
    assert {name.split(".")[0] for name in fixed} == {"maps", "projection"}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    samples = torch.randn(4, *SHAPE, requires_grad=True)
    for _ in range(3):
        optimizer.zero_grad()
        network(samples).scores.mean().backward()
        optimizer.step()
    assert samples.grad.abs().flatten(1).amax(1).min() > 0
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in fixed.items())
    assert not any(module.training for module in network.maps.modules())


def test_a_score_is_one_samples_own():
    images = torch.randn(3, *SHAPE)
    network = projected().eval()
    torch.testing.assert_close(network(images).scores[:1], network(images[:1]).scores)


def test_layers_are_chosen_by_name():
    assert list(projected(layers=["stage3", "stage1"])(torch.randn(1, *SHAPE)).layers) == ["stage1", "stage3"]
    with pytest.raises(ValueError) as error:
        projected(layers=["stage1", "layer2", "layer3"])
    assert str(error.value) == (
        "the network has no layer layer2 and no layer3; choose from stage0, stage1, stage2, stage3, stage4"
    )


def test_it_is_conditional_where_its_head_is():
    images, condition = torch.randn(2, *SHAPE), torch.tensor([[0.0], [1.0]])
    network = projected(condition=(1,), head=Conditional).eval()
    assert network.conditional
    assert not projected(condition=(1,)).conditional
    moved = network(images, condition).scores - network(images, torch.zeros(2, 1)).scores
    torch.testing.assert_close(moved, condition.expand_as(moved))


def test_heads_that_give_more_than_scores_are_refused():
    with pytest.raises(ValueError) as error:
        projected(head=Named)
    assert str(error.value) == (
        "projected has a head for each scale and puts their scores side by side; it cannot do so with what else "
        "Named gives; use head: linear"
    )
