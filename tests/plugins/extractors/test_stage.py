"""What earlier stages trained, as the feature network of a metric."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import ganvas
from ganvas import Classifier, Data, DataField, Dataset, Encoder, Segment, Trained
from ganvas.registry.documents import Mistakes
from ganvas.runs import experiment
from ganvas.runs.api import read
from ganvas.runs.finding import evaluate_run
from ganvas_plugins.algorithms.classifier import ImageClassifier
from ganvas_plugins.classifiers.linear import Linear
from ganvas_plugins.classifiers.mlp import Mlp
from ganvas_plugins.extractors.stage import StageExtractor, digest

SPEC = """
name: small
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    steps: 2
    batch_size: 8
  features:
    use: self-supervised
    encoder: {use: simclr, projection: 8}
    backbone: {use: timm, model: test_resnet}
    portrait: 0
    steps: 2
    batch_size: 16
  attributes: {use: classifier, encoder: features, classifier: {use: mlp, hidden: 6}, steps: 2, batch_size: 16}
"""


def fid(stage: str) -> dict[str, Any]:
    return {"use": "fid", "samples": 40, "real": 40, "extractor": {"use": "stage", "stage": stage}}


class Flat(Encoder):
    """Batch normalisation, then a linear map of nine pixels."""

    views = ()
    features = 5

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.linear = torch.nn.BatchNorm2d(1), torch.nn.Linear(9, 5)

    def objective(self, *views):
        return {}

    def encode(self, images):
        return self.linear(self.norm(images).flatten(1))


class Pictures(Dataset):
    fingerprint = "pictures"
    fields = {}

    def __init__(self, shape):
        self.fields = {"images": DataField(shape)}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"images": torch.zeros(self.fields["images"].shape, dtype=torch.uint8)}


def test_an_encoder_gives_what_it_encodes_and_stays_to_the_bit():
    encoder = Flat()
    kept = {name: value.clone() for name, value in encoder.state_dict().items()}
    extractor = StageExtractor(stage=Trained(encoder, "features")).train()
    images = torch.randn(6, 1, 3, 3, requires_grad=True)
    assert torch.equal(extractor(images), encoder.encode(images))
    assert (extractor.name, extractor.features) == ("features", 5)
    assert list(extractor.parameters()) == []
    assert all(torch.equal(value, kept[name]) for name, value in encoder.state_dict().items())
    extractor(images).sum().backward()
    assert images.grad is not None
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_a_classifier_gives_its_last_layer_before_the_logits():
    images = torch.randn(6, 1, 3, 3)
    encoder = Trained(Flat(), "features")
    hidden, linear = Mlp((5,), 3, hidden=7), Linear((5,), 3)
    for head, expected in ((hidden, hidden.eval().embed(encoder.encode(images))), (linear, encoder.encode(images))):
        network = ImageClassifier(encoder, head, ["a", "b", "c"])
        extractor = StageExtractor(stage=Trained(network, "attributes"))
        assert torch.equal(extractor(images), expected)
        assert extractor.features == expected.shape[1]
        assert extractor.protocol["layer"] == "embed"


def test_a_classifier_without_such_a_layer_gives_its_logits():
    network: Classifier = ImageClassifier(None, Linear((1, 3, 3), 4), list("abcd"))
    extractor = StageExtractor(stage=Trained(network, "classes"))
    images = torch.randn(6, 1, 3, 3)
    assert torch.equal(extractor(images), network(images))
    assert extractor.classes == 0
    assert extractor.features == 4
    assert extractor.protocol["layer"] == "logits"


def test_a_classifier_of_classes_tells_them_apart():
    images, encoder = torch.randn(6, 1, 3, 3), Trained(Flat(), "features")
    one, many = [Segment("one-hot", 3)], [Segment("binary", 3)]
    for of, head in ((encoder, Mlp((5,), 3, hidden=7)), (encoder, Linear((5,), 3)), (None, Linear((1, 3, 3), 3))):
        network = ImageClassifier(of, head.eval(), ["a", "b", "c"], one)
        extractor = StageExtractor(stage=Trained(network, "attributes"))
        assert extractor.classes == 3
        torch.testing.assert_close(extractor.logits(extractor(images)), network(images))
    attributes = StageExtractor(stage=Trained(ImageClassifier(encoder, head, ["a", "b", "c"], many), "attributes"))
    for extractor in (attributes, StageExtractor(stage=encoder)):
        assert extractor.classes == 0
        with pytest.raises(NotImplementedError, match="tells no classes apart"):
            extractor.logits(extractor(images))


def test_the_protocol_knows_the_weights():
    first, second = Flat(), Flat()
    protocols = [dict(StageExtractor(stage=Trained(one, "features")).protocol) for one in (first, second)]
    assert protocols[0] == protocols[1]
    network = digest(first.state_dict())
    assert protocols[0] == {"extractor": "stage", "stage": "features", "network": network, "layer": "encode"}
    assert json.loads(json.dumps(protocols[0])) == protocols[0]
    second.norm.running_mean += 1e-6  # a buffer counts too
    assert StageExtractor(stage=Trained(second, "features")).protocol["network"] != network


def test_images_that_it_cannot_take_are_refused():
    extractor = StageExtractor(stage=Trained(Flat(), "features"))
    extractor.check(Data(Pictures((1, 3, 3))))
    with pytest.raises(ValueError) as refusal:
        extractor.check(Data(Pictures((1, 4, 4))))
    assert str(refusal.value).startswith(
        "the network of the stage 'features' does not take images of [1, 4, 4]; "
        "name a stage that was trained on such images ("
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """The spec, and the runs folder in which it is trained, without any metric."""
    folder = tmp_path_factory.mktemp("stages")
    spec = folder / "small.yaml"
    spec.write_text(SPEC)
    ganvas.train(spec, runs=folder / "runs", device="cpu")
    return spec, folder / "runs"


def test_a_stage_is_measured_by_others_without_being_trained_anew(trained):
    spec, runs = trained
    before = dict(ganvas.load(runs / "small").folders)
    measured = {"stages.gan.evaluate": {"metrics": [fid("features"), fid("attributes")]}}
    assert list(read(spec, overrides=measured).stages) == ["features", "attributes", "gan"]  # gan is written first
    run = ganvas.train(spec, overrides=measured, runs=runs, device="cpu")
    assert {name: folder.name for name, folder in run.folders.items()} == {
        name: folder.name for name, folder in before.items()
    }
    found = run.metrics("gan")
    assert set(found) == {"fid@features", "fid@attributes"}
    assert all(math.isfinite(value["value"]) for value in found.values())
    networks = {name: value["protocol"]["network"] for name, value in found.items()}
    products = {name: run[name].algorithm.products() for name in ("features", "attributes")}
    assert networks["fid@features"] == digest(products["features"]["encoder"].state_dict())
    assert networks["fid@attributes"] == digest(products["attributes"]["classifier"].state_dict())

    # The same again is no work; another encoder is another number, of the same generator.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "measure", lambda *given, **named: pytest.fail("it is measured already"))
        ganvas.train(spec, overrides=measured, runs=runs, device="cpu")
    other = ganvas.train(spec, overrides=measured | {"stages.features.steps": 3}, runs=runs, device="cpu")
    assert other.folders["gan"].name == run.folders["gan"].name
    assert other.metrics("gan")["fid@features"]["protocol"]["network"] != networks["fid@features"]


def test_a_finished_run_is_measured_by_a_stage_of_it(trained):
    spec, runs = trained
    ganvas.train(spec, runs=runs, device="cpu")
    said: list[str] = []
    asked = json.dumps(fid("features") | {"samples": 30})
    name, found = evaluate_run(str(runs / "small"), "gan", [asked], [], runs, "cpu", said.append)
    assert (name, list(found), said) == ("gan", ["fid@features"], [])
    _, of_the_spec = evaluate_run(str(spec), "gan", [asked], [], runs, "cpu", said.append)
    assert of_the_spec == found
    with pytest.raises(Mistakes) as mistakes:
        evaluate_run(str(runs / "small"), "gan", [asked.replace("features", "feature")], [], runs, "cpu", said.append)
    assert str(mistakes.value).endswith(
        "extractor.stage: there is no stage 'feature' to take an encoder or a classifier from; did you mean 'features'?"
    )


def test_a_folder_alone_holds_what_its_metrics_need(trained, tmp_path):
    spec, runs = trained
    measured = {"stages.gan.evaluate": {"metrics": [fid("attributes")]}, "stages.gan.seed": 1}
    run = ganvas.train(spec, overrides=measured, runs=runs, device="cpu")
    alone = shutil.copytree(run.folders["gan"], tmp_path / "alone")
    said: list[str] = []
    # features is an ancestor of attributes, which is kept inside the folder.
    for stage in ("attributes", "features"):
        asked = json.dumps(fid(stage) | {"samples": 30})
        _, found = evaluate_run(str(alone), None, [asked], [], tmp_path, "cpu", said.append)
        _, expected = evaluate_run(str(runs / "small"), "gan", [asked], [], runs, "cpu", said.append)
        assert found == expected
    assert said == []


def test_a_finished_stages_folder_may_be_named(trained):
    _, runs = trained
    folder = ganvas.load(runs / "small").folders["features"]
    asked = json.dumps(fid(str(folder)))
    _, found = evaluate_run(str(runs / "small"), "gan", [asked], [], runs, "cpu", lambda line: None)
    assert list(found) == [f"fid@{folder.name}"]
