"""AlexNet against torchvision's."""

import pytest
import torch
import torchvision

from ganvas_plugins.backbones.alexnet import AlexNet

LAYERS = {"conv1": 1, "conv2": 4, "conv3": 7, "conv4": 9, "conv5": 11}  # name -> where torchvision has its ReLU


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(backbone, shape):
    with torch.no_grad():
        return [tuple(value.shape[1:]) for value in backbone.feature_maps(torch.zeros(1, *shape)).values()]


def test_the_numbers_of_parameters_are_torchvisions():
    with torch.device("meta"):
        assert parameters(torchvision.models.alexnet()) == 61_100_840
        assert parameters(AlexNet((3, 224, 224))) == 61_100_840 - (4096 + 1) * 1000
        assert parameters(AlexNet((3, 224, 224), layer="fc6")) == 61_100_840 - (4096 + 1) * (1000 + 4096)
        assert parameters(AlexNet((3, 28, 28), layer="conv5")) == 2_469_696
        assert AlexNet((3, 28, 28), layer="conv5").features == 256 * 36
        assert AlexNet((3, 28, 28), layer="conv3", pool=1).features == 384


def test_features_and_maps_are_torchvisions():
    torch.manual_seed(0)
    theirs, ours = torchvision.models.alexnet().eval(), AlexNet((3, 96, 80)).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values())))
    images = torch.rand(2, 3, 96, 80) * 2 - 1
    with torch.no_grad():
        expected = theirs.classifier[:-1](theirs.avgpool(theirs.features(images)).flatten(1))
        torch.testing.assert_close(ours(images), expected)
        maps = ours.feature_maps(images)
        assert list(maps) == list(LAYERS)
        for name, place in LAYERS.items():
            torch.testing.assert_close(maps[name], theirs.features[: place + 1](images))


def test_maps_of_large_and_small_images():
    made = AlexNet((3, 224, 224), layer="conv5")
    assert shapes(made, (3, 224, 224)) == [(64, 55, 55), (192, 27, 27), (384, 13, 13), (256, 13, 13), (256, 13, 13)]
    small = AlexNet((1, 28, 28), layer="conv5")
    assert [size[1:] for size in shapes(small, (1, 28, 28))] == [(28, 28), (14, 14), (7, 7), (7, 7), (7, 7)]
    assert small.convolutions["conv1"].stride == (1, 1)
    assert AlexNet((1, 64, 64), layer="conv1").convolutions["conv1"].stride == (4, 4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (3, 20, 130), (2, 63, 64), (3, 64, 64)])
def test_any_size_gives_the_features_that_are_said(shape):
    made = AlexNet(shape, layer="conv5", pool=2).eval()
    assert made(torch.zeros(2, *shape)).shape == (2, made.features) == (2, 1024)


def test_features_of_a_convolution_are_its_map_averaged():
    made = AlexNet((1, 28, 28), layer="conv4", pool=7)
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(made(images), made.feature_maps(images)["conv4"].flatten(1))
    assert made.layers == ("conv1", "conv2", "conv3", "conv4")


def test_dropout_comes_before_each_dense_layer():
    with torch.device("meta"):
        made = AlexNet((1, 28, 28), dropout=0.25)
    assert [type(part).__name__ for part in made.dense] == ["Dropout", "Linear", "ReLU"] * 2
    assert [part.p for part in made.dense if isinstance(part, torch.nn.Dropout)] == [0.25, 0.25]


def test_unknown_layers_are_named_with_those_there_are():
    made = AlexNet((1, 28, 28), layer="conv3")
    with pytest.raises(ValueError) as error:
        made.feature_maps(torch.zeros(1, 1, 28, 28), ["conv1", "conv4"])
    assert str(error.value) == "AlexNet has no layer 'conv4'; its layers are conv1, conv2, conv3"
