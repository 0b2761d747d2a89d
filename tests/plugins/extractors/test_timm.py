"""Networks of timm as extractors: their weights, their normalisation, their names."""

import pytest
import timm
import torch
from safetensors.torch import save_file

import ganvas
from ganvas import MissingData
from ganvas_plugins.extractors.pictures import levels, prepared
from ganvas_plugins.extractors.stage import digest
from ganvas_plugins.extractors.timm import TimmExtractor

MODEL = "test_resnet"


@pytest.fixture
def weights(tmp_path):
    """timm's own file of a model, with its classification layer."""
    torch.manual_seed(0)
    network = timm.create_model(MODEL).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    return network, tmp_path / "weights.safetensors"


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_features_are_those_before_the_classes(weights):
    network, path = weights
    extractor = TimmExtractor(model=MODEL, weights=path)
    config = timm.get_pretrained_cfg(MODEL)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    seen = ((prepared(levels(images(2, 3, 50, 40)).round(), config.input_size[-1]) + 1) / 2 - mean) / deviation
    expected = network.forward_head(network.forward_features(seen), pre_logits=True)
    features = extractor(images(2, 3, 50, 40))
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    assert features.shape == (2, extractor.features)
    assert torch.equal(extractor(images(2, 1, 9, 9)), extractor(images(2, 1, 9, 9).expand(-1, 3, -1, -1)))
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_size_and_weights_are_told(weights):
    _, path = weights
    usual = TimmExtractor(model=MODEL, weights=path)
    side = timm.get_pretrained_cfg(MODEL).input_size[-1]
    assert usual.name == f"timm-{MODEL}"
    assert usual.protocol == {
        "extractor": f"timm-{MODEL}",
        "weights": digest(usual.state_dict()),
        "input": f"{side}x{side} bicubic, 8 bits",
    }
    small = TimmExtractor(model=MODEL, weights=path, side=32, mean=[0.5], deviation=[0.25])
    assert small.name == f"timm-{MODEL}-32"
    assert small.protocol["input"] == "32x32 bicubic, 8 bits"
    seen = (prepared(levels(images(2, 3, 16, 16)).round(), 32) / 2) / 0.25
    torch.testing.assert_close(small(images(2, 3, 16, 16)), small.network.model(seen))


def test_what_timm_does_not_have(monkeypatch):
    with pytest.raises(ValueError, match=r"^timm knows no model 'resnet8'; did you mean "):
        TimmExtractor(model="resnet8")
    without = next(name for name in timm.list_models() if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(ValueError) as refusal:
        TimmExtractor(model=without)
    assert str(refusal.value) == (
        f"timm has no pretrained weights for {without!r}; drop pretrained or give a weights file"
    )

    def unreachable(*given, **options):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(MissingData, match=r"^cannot fetch timm's weights of 'test_resnet' \(OSError\); run once with"):
        TimmExtractor(model=MODEL)


def test_a_training_goes_on_without_weights_that_cannot_be_fetched(tmp_path, monkeypatch, caplog):
    def unreachable(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no network")
        return create(name, pretrained=pretrained, **options)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", unreachable)
    (tmp_path / "spec.yaml").write_text(SPEC)
    run = ganvas.train(tmp_path / "spec.yaml", runs=tmp_path / "runs", device="cpu")
    assert run.metrics("gan") == {}
    said = [line for line in caplog.messages if "was not measured" in line]
    assert len(said) == 2  # while it trained, and at its end
    assert said[0].startswith("gan: the metric 'fid' was not measured: cannot fetch timm's weights of 'test_resnet'")


SPEC = """
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: dcgan, channels: 4}
    steps: 2
    batch_size: 8
    evaluate: {every: 1, metrics: [{use: fid, extractor: {use: timm, model: test_resnet}, samples: 4}]}
"""
