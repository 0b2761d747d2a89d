"""What TensorBoard shows of a run, read back from its event files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import ganvas
from ganvas import Embedding, Preview
from ganvas.registry.hooks import StageRecord
from ganvas_plugins.trackers.tensorboard import TensorBoard, thumbnails

SPEC = """
name: shown
dataset: {use: digits}
stages:
  gan:
    use: gan
    generator: {use: eigengan, channels: 4, basis: 2, noise: 4, hidden: 8}
    discriminator: {use: global, channels: 4}
    condition: labels
    regularizers: [r1, orthogonality]
    steps: 6
    batch_size: 8
    log_every: 2
    pictures_every: 3
    evaluate: {every: 2, metrics: [{use: diversity, samples: 20}]}
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> EventAccumulator:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "spec.yaml").write_text(SPEC)
    run = ganvas.train(folder / "spec.yaml", runs=folder / "runs")
    files = list(run.folders["gan"].glob("events.out.tfevents*"))
    assert len(files) == 1
    accumulator = EventAccumulator(str(run.folders["gan"]), size_guidance={"images": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def test_scalars(shown: EventAccumulator) -> None:
    tags = set(shown.Tags()["scalars"])
    assert tags == {
        "loss/discriminator.adversarial",
        "loss/generator.adversarial",
        "penalty/r1",
        "penalty/orthogonality",
        "scores/real",
        "scores/fake",
        "grad/discriminator",
        "grad/generator",
        "grad/learning-rate.discriminator",
        "grad/learning-rate.generator",
        "metric/diversity",
        "time/images-per-second",
    }
    # The x axis is images seen, and every log point is there once.
    for tag in tags - {"metric/diversity"}:
        assert [event.step for event in shown.Scalars(tag)] == [16, 32, 48], tag
    assert [event.step for event in shown.Scalars("metric/diversity")] == [16, 32, 48]
    rates = [event.value for event in shown.Scalars("grad/learning-rate.generator")]
    assert rates == pytest.approx([2e-4] * 3)


def test_pictures(shown: EventAccumulator) -> None:
    tags = set(shown.Tags()["images"])
    assert tags == {"samples", "traversal/layer0", "traversal/noise"}
    assert [event.step for event in shown.Images("samples")] == [0, 24, 48]
    sample, traversal = shown.Images("samples")[0], shown.Images("traversal/layer0")[0]
    # Ten classes across, eight rows of fixed latents, one pixel between; one row per axis.
    assert (sample.width, sample.height) == (10 * 9 + 1, 8 * 9 + 1)
    assert traversal.height == 2 * 9 + 1


def test_an_embedding_is_for_the_projector_once(tmp_path: Path) -> None:
    tracker = TensorBoard()
    stage = StageRecord("experiment", "features", tmp_path, "name: x\n", {})
    images = torch.linspace(-1, 1, 3 * 2 * 4).view(3, 1, 2, 4)
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]])
    picture = Preview(torch.zeros(1, 3, 10, 10), 1, Embedding(features, images, ["one", "two", "one"]))
    tracker.ganvas_stage_started(stage)
    tracker.ganvas_images(stage, 6, 48, {"embedding": picture})
    tracker.ganvas_stage_finished(stage, {})
    config = ProjectorConfig()
    text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config)
    (shown,) = config.embeddings
    table = [line.split("\t") for line in (tmp_path / shown.tensor_path).read_text().splitlines()]
    assert [[float(value) for value in row] for row in table] == features.tolist()
    assert (tmp_path / shown.metadata_path).read_text().splitlines() == ["one", "two", "one"]
    assert list(shown.sprite.single_image_dim) == [4, 4]  # squares, the long side as it was
    with Image.open(tmp_path / shown.sprite.image_path) as sprite:
        assert sprite.size == (8, 8)  # two by two, the last one empty


def test_thumbnails_are_small_squares() -> None:
    wide = thumbnails(torch.ones(2, 3, 50, 100))
    assert wide.shape == (2, 3, 32, 32)
    assert wide[:, :, :8].abs().max() == wide[:, :, 24:].abs().max() == 0  # black borders
    assert torch.allclose(wide[:, :, 8:24], torch.ones(()))
    small = torch.rand(2, 1, 8, 8) * 2 - 1
    assert torch.allclose(thumbnails(small), small / 2 + 0.5)


def test_layout_spec_and_hyperparameters(shown: EventAccumulator) -> None:
    layout = layout_pb2.Layout.FromString(shown.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    charts = {part.title: {chart.title: list(chart.multiline.tag) for chart in part.chart} for part in layout.category}
    assert charts["scores"] == {"scores": ["scores/real", "scores/fake"]}
    assert charts["penalty"]["penalty"] == ["penalty/r1", "penalty/orthogonality"]
    spec = shown.Tensors("spec/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "use: eigengan" in spec
    data = shown.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info
    assert started.hparams["generator.channels"].number_value == 4
    assert started.hparams["loss.use"].string_value == "non-saturating"


def test_other_channels_than_grey_and_rgb_are_shown_side_by_side(tmp_path: Path) -> None:
    tracker = TensorBoard()
    stage = StageRecord("experiment", "gan", tmp_path, "name: x\n", {})
    images = torch.linspace(-1, 1, 4 * 5 * 2 * 3).view(4, 5, 2, 3)
    tracker.ganvas_stage_started(stage)
    tracker.ganvas_images(stage, 6, 48, {"samples": Preview(images, 2, Embedding(torch.eye(4), images))})
    tracker.ganvas_stage_finished(stage, {})
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    accumulator.Reload()
    (picture,) = accumulator.Images("samples")
    assert (picture.width, picture.height) == (2 * (5 * 3 + 1) + 1, 2 * (2 + 1) + 1)
    assert thumbnails(images).shape == (4, 1, 15, 15)
