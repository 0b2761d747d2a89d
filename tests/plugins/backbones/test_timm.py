"""timm's networks as backbones: widths, stems, weights."""

import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from ganvas import MissingData
from ganvas_plugins.backbones.timm import Timm


def maps_of(backbone, shape):
    backbone.eval()
    with torch.no_grad():
        return [tuple(value.shape[1:]) for value in backbone.feature_maps(torch.zeros(1, *shape)).values()]


@pytest.mark.parametrize(
    "model", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "mobilenetv3_small_050"]
)
def test_features_have_the_width_that_is_said(model):
    backbone = Timm((1, 32, 32), model=model).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(2, 1, 32, 32)).shape == (2, backbone.features)


def test_the_small_stem_of_a_resnet():
    small, original = Timm((3, 32, 32)), Timm((3, 32, 32), stem="original")
    assert maps_of(small, (3, 32, 32)) == [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert maps_of(original, (3, 32, 32))[-1] == (512, 1, 1)
    assert small.model.conv1.weight.shape == (64, 3, 3, 3)
    assert small.model.conv1.stride == (1, 1)
    assert isinstance(small.model.maxpool, nn.Identity)
    assert original.model.conv1.weight.shape == (64, 3, 7, 7)


def test_the_small_stem_of_other_families():
    assert maps_of(Timm((1, 32, 32), model="test_resnet"), (1, 32, 32))[-1] == (96, 4, 4)  # a deep stem
    assert maps_of(Timm((1, 32, 32), model="test_efficientnet"), (1, 32, 32))[-1][1:] == (2, 2)
    with torch.device("meta"):
        for model, place in (("resnetv2_50", "stem"), ("densenet121", "features")):
            network = Timm((3, 32, 32), model=model).model.get_submodule(place)
            assert next(part for part in network.modules() if isinstance(part, nn.Conv2d)).stride == (1, 1)
            assert not any(isinstance(part, nn.MaxPool2d) for part in network.children())


def test_auto_looks_at_the_size():
    with torch.device("meta"):
        assert Timm((3, 64, 64)).model.conv1.stride == (2, 2)
        assert Timm((3, 63, 80)).model.conv1.stride == (1, 1)
        assert Timm((3, 64, 64), stem="small").model.conv1.stride == (1, 1)


def test_patch_stems_have_no_small_form():
    with torch.device("meta"):
        assert Timm((3, 32, 32), model="test_convnext").model is not None
        with pytest.raises(ValueError, match="stem: original"):
            Timm((3, 32, 32), model="test_convnext", stem="small")


def test_unknown_models_are_named_with_near_ones():
    with pytest.raises(ValueError, match=r"'resnet81'; did you mean .*resnet"):
        Timm((3, 32, 32), model="resnet81")
    with pytest.raises(ValueError, match=r"timm.list_models\(\)"):
        Timm((3, 32, 32), model="qqqqq")


def test_models_that_cannot_take_the_size_are_refused():
    with torch.device("meta"), pytest.raises(ValueError, match=r"cannot build 'test_vit' for 3x30x30 images: .*30"):
        Timm((3, 30, 30), model="test_vit")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_weights_file_gives_the_same_features(tmp_path, suffix):
    torch.manual_seed(0)
    source = Timm((1, 16, 16), model="test_resnet").eval()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(source.model.state_dict(), path)
    else:
        torch.save(source.model.state_dict(), path)
    loaded = Timm((1, 16, 16), model="test_resnet", weights=path).eval()
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(source(images), loaded(images))


def test_weights_that_do_not_fit_are_listed(tmp_path):
    state = timm.create_model("test_resnet", num_classes=10).state_dict()
    state.pop("bn1.weight")
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError) as error:
        Timm((1, 16, 16), model="test_resnet", weights=tmp_path / "other.pth")
    message = str(error.value)
    assert message == (
        f"the weights at {tmp_path / 'other.pth'} do not fit this model (missing: bn1.weight; "
        "of another shape: conv1.0.weight); check model, stem and prefix"
    )


def test_weights_that_are_not_there(tmp_path):
    with torch.device("meta"), pytest.raises(MissingData, match="no weights at"):
        Timm((1, 16, 16), model="test_resnet", weights=tmp_path / "none.pth")


def test_pretrained_weights_that_cannot_be_fetched(monkeypatch):
    def refuse(name, pretrained=False, **options):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(MissingData) as error:
        Timm((3, 32, 32), pretrained=True)
    assert str(error.value) == (
        "cannot fetch timm's weights of 'resnet18' (OSError); run once with a network, or download them elsewhere and "
        "give the backbone's options weights: FILE, mean: [0.485, 0.456, 0.406] and deviation: [0.229, 0.224, 0.225]"
    )
    monkeypatch.setattr(timm, "is_model", lambda name: True)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: None)
    with pytest.raises(ValueError, match="no pretrained weights for 'resnet20"):
        Timm((3, 32, 32), model="resnet20", pretrained=True)


def test_pretrained_weights_keep_their_normalisation_and_the_centre_of_the_kernel(monkeypatch):
    create, made = timm.create_model, []

    def seeded(name, pretrained=False, **options):
        made.append(create(name, pretrained=False, **options))
        made.append(made[0].conv1.weight.detach().clone())
        return made[0]

    monkeypatch.setattr(timm, "create_model", seeded)
    backbone = Timm((3, 32, 32), pretrained=True).eval()
    assert torch.equal(backbone.model.conv1.weight, made[1][..., 2:5, 2:5])
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    config = timm.get_pretrained_cfg("resnet18")
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    expected = backbone.model(((images + 1) / 2 - mean) / deviation)
    torch.testing.assert_close(backbone(images), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("mean", "deviation"), [([0.1, 0.5, 0.7], [0.3, 0.2, 0.1]), ([0.4], [0.25])])
def test_a_weights_file_gets_its_images_as_its_training_had_them(tmp_path, mean, deviation):
    network = timm.create_model("test_resnet", num_classes=0).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    images = torch.rand(2, 3, 64, 64)  # in [0, 1]; resized and cropped images of any library are that
    centred, divisor = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, deviation))
    expected = network((images - centred) / divisor)
    options = {"model": "test_resnet", "weights": tmp_path / "weights.pth"}
    backbone = Timm((3, 64, 64), **options, mean=mean, deviation=deviation).eval()
    torch.testing.assert_close(backbone(images * 2 - 1), expected, atol=1e-5, rtol=1e-5)
    maps, raw = (
        backbone.feature_maps(images * 2 - 1),
        backbone.model.forward_intermediates((images - centred) / divisor),
    )
    torch.testing.assert_close(maps["stage0"], raw[1][0], atol=1e-5, rtol=1e-5)
    # Without them the file's network sees the images in [-1, 1], to the bit.
    plain = Timm((3, 64, 64), **options).eval()
    assert torch.equal(plain(images * 2 - 1), network(images * 2 - 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": [0.5]}, "mean goes with deviation: give both, or neither"),
        ({"deviation": [0.5]}, "deviation goes with mean: give both, or neither"),
        (
            {"mean": [0.5, 0.5], "deviation": [1.0]},
            "mean has 2 numbers for 3 channels; give one each, or one for all",
        ),
        (
            {"mean": [0.5], "deviation": []},
            "deviation has 0 numbers for 3 channels; give one each, or one for all",
        ),
        (
            {"mean": [0.5], "deviation": [0.0]},
            "deviation must be greater than 0, not 0: the images are divided by it",
        ),
    ],
)
def test_a_normalisation_that_is_none_is_told(options, message):
    with torch.device("meta"), pytest.raises(ValueError) as error:
        Timm((3, 32, 32), model="test_resnet", **options)
    assert str(error.value) == message


def test_builds_without_storage():
    with torch.device("meta"):
        backbone = Timm((3, 32, 32), model="resnet50", pretrained=True)
    assert backbone.features == 2048
    assert all(parameter.is_meta for parameter in backbone.parameters())


def test_a_prefix_is_nothing_without_a_file():
    with torch.device("meta"), pytest.raises(ValueError) as error:
        Timm((3, 32, 32), prefix="backbone.")
    assert str(error.value) == (
        "prefix 'backbone.' is for the names in a file of weights; give the option weights, or drop prefix"
    )


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"])
def test_layers_name_the_maps(model):
    with torch.device("meta"):
        backbone = Timm((3, 32, 32), model=model)
        images = torch.empty(1, 3, 32, 32)
        maps = backbone.feature_maps(images)
        assert list(maps) == list(backbone.layers) == [f"stage{index}" for index in range(len(maps))]
        chosen = backbone.feature_maps(images, ["stage3", "stage1"])
    assert {name: value.shape for name, value in chosen.items()} == {
        name: maps[name].shape for name in ("stage1", "stage3")
    }


def test_layers_after_those_asked_for_are_not_computed():
    backbone = Timm((1, 16, 16), model="test_resnet").eval()
    seen = []
    backbone.model.layer2.register_forward_hook(lambda *_: seen.append(2))
    backbone.model.layer3.register_forward_hook(lambda *_: seen.append(3))
    images = torch.rand(1, 1, 16, 16)
    assert torch.equal(backbone.feature_maps(images, ["stage2"])["stage2"], backbone.feature_maps(images)["stage2"])
    assert seen == [2, 2, 3]


def test_unknown_layers_are_named_with_those_there_are():
    with torch.device("meta"):
        backbone = Timm((1, 16, 16), model="test_resnet")
        with pytest.raises(ValueError) as error:
            backbone.feature_maps(torch.empty(1, 1, 16, 16), ["layer1"])
    assert str(error.value) == ("Timm has no layer 'layer1'; its layers are stage0, stage1, stage2, stage3, stage4")


def test_models_without_intermediates_offer_no_maps(monkeypatch):
    monkeypatch.delattr(timm.models.ResNet, "forward_intermediates")
    with torch.device("meta"):
        backbone = Timm((1, 16, 16), model="test_resnet")
        assert backbone.layers == ()
        with pytest.raises(NotImplementedError, match="Timm offers no feature maps"):
            backbone.feature_maps(torch.empty(1, 1, 16, 16))
    with pytest.raises(ValueError) as error:
        backbone.named_layers(["stage0"])
    assert str(error.value) == "Timm has no layer 'stage0'; it offers no feature maps"
