"""A stage that measures: numbers equal to those of what it measures, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.utils import save_image

import ganvas
from ganvas.registry.documents import Mistakes
from ganvas.runs.table import gather, tabulate

METRICS = "[{use: fid, extractor: random, samples: 30}, {use: diversity, samples: 30}]"
SPEC = f"""
name: measured
dataset: {{use: digits, holdout: 0.9}}
stages:
  gan:
    use: gan
    generator: {{use: mlp, widths: [8], latent: 4}}
    discriminator: {{use: mlp, widths: [8]}}
    condition: labels
    steps: 2
    batch_size: 8
    ema: 20
    evaluate: {{metrics: {METRICS}}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ganvas.Run:
    root = tmp_path_factory.mktemp("trained")
    (root / "spec.yaml").write_text(SPEC)
    return ganvas.train(root / "spec.yaml", runs=root / "runs")


def measured(root: Path, stage: str, trained: ganvas.Run) -> ganvas.Run:
    """The spec with one more stage, in the runs folder of the first."""
    (root / "spec.yaml").write_text(SPEC + f"  measured: {{use: evaluation, {stage}}}\n")
    return ganvas.train(root / "spec.yaml", runs=trained.folders["gan"].parents[2])


def refusal(root: Path, stage: str) -> list[str]:
    (root / "spec.yaml").write_text(SPEC + f"  measured: {{use: evaluation, {stage}}}\n")
    with pytest.raises(Mistakes) as caught:
        ganvas.check(root / "spec.yaml")
    return [problem.message for problem in caught.value.problems]


def write_images(folder: Path, images: torch.Tensor) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        save_image((image + 1) / 2, folder / f"{number:03d}.png")


def test_a_stage_is_measured_as_by_itself(trained: ganvas.Run, tmp_path: Path) -> None:
    run = measured(tmp_path, f"of: gan, metrics: {METRICS}", trained)
    assert run.metrics("measured") == trained.metrics("gan")
    assert trained.metrics("gan")["fid@random"]["protocol"]["average"] is True


def test_its_folder_opens_by_itself_and_measures_again(trained: ganvas.Run, tmp_path: Path) -> None:
    run = measured(tmp_path, f"of: gan, metrics: {METRICS}", trained)
    alone = ganvas.load(run.folders["measured"])["measured"]
    assert torch.equal(alone.sample(4, seed=3), trained["gan"].sample(4, seed=3))
    assert torch.equal(alone.sample(2, condition=7, seed=3), trained["gan"].sample(2, condition=7, seed=3))


def test_a_finished_stages_folder_is_measured_alike(trained: ganvas.Run, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "name: other\ndataset: {use: digits, holdout: 0.9}\n"
        f"stages: {{measured: {{use: evaluation, of: {trained.folders['gan']}, metrics: {METRICS}}}}}\n"
    )
    run = ganvas.train(tmp_path / "spec.yaml", runs=tmp_path / "runs")
    assert run.metrics("measured") == trained.metrics("gan")


def test_a_sampler_is_in_the_numbers_and_in_the_protocol(trained: ganvas.Run, tmp_path: Path) -> None:
    run = measured(tmp_path, f"of: gan, metrics: {METRICS}, sampler: {{use: truncation, strength: 0.0}}", trained)
    found, plain = run.metrics("measured"), trained.metrics("gan")
    assert found["diversity"]["protocol"]["sampler"]["use"] == "truncation"
    assert plain["diversity"]["protocol"]["sampler"] == "none"
    # At strength 0 all latents are one: samples differ by their class alone.
    assert found["diversity"]["value"] < plain["diversity"]["value"]


def test_a_new_metric_is_measured_in_the_same_folder(trained: ganvas.Run, tmp_path: Path) -> None:
    first = measured(tmp_path, "of: gan, metrics: [{use: diversity, samples: 20}]", trained)
    second = measured(
        tmp_path, "of: gan, metrics: [{use: diversity, samples: 20}, {use: diversity, samples: 24}]", trained
    )
    assert first.folders["measured"] == second.folders["measured"]
    assert second.metrics("measured")["diversity"]["protocol"]["samples"] == 24


def test_a_folder_of_the_samples_has_the_numbers_of_the_samples(trained: ganvas.Run, tmp_path: Path) -> None:
    write_images(tmp_path / "images", trained["gan"].fakes(30)[0])
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        SPEC + "  measured: {use: evaluation, of: ./images, metrics: [{use: fid, extractor: random, samples: 30}]}\n"
    )
    run = ganvas.train(spec, runs=tmp_path / "runs")
    folder, stage = run.metrics("measured")["fid@random"], run.metrics("gan")["fid@random"]
    assert folder["value"] == pytest.approx(stage["value"], rel=1e-6)  # the extractor sees 8 bits of either
    unlike = {name for name, value in stage["protocol"].items() if folder["protocol"][name] != value}
    assert unlike == {"average"}
    assert folder["protocol"]["average"] is None
    # What nobody knows contradicts nothing: both stand in one column.
    runs, _ = gather([str(run.folders["measured"]), str(run.folders["gan"])], (), Path())
    (column,) = [column for column in tabulate(runs).columns if column.name.startswith("fid")]
    assert column.name == "fid@random"


def test_changed_images_are_measured_anew(trained: ganvas.Run, tmp_path: Path) -> None:
    write_images(tmp_path / "images", trained["gan"].fakes(30)[0])
    stage = "of: ./images, metrics: [{use: diversity, samples: 20}]"
    before = measured(tmp_path, stage, trained)
    assert measured(tmp_path, stage, trained).folders == before.folders
    save_image(torch.zeros(1, 8, 8), tmp_path / "images" / "000.png")
    after = measured(tmp_path, stage, trained)
    assert after.folders["measured"] != before.folders["measured"]
    assert after.metrics("measured")["diversity"]["value"] != before.metrics("measured")["diversity"]["value"]


def test_images_of_another_size_are_refused_or_brought_to_the_datas(trained: ganvas.Run, tmp_path: Path) -> None:
    write_images(tmp_path / "images", torch.zeros(24, 1, 12, 10))
    assert refusal(tmp_path, "of: ./images, metrics: []") == [
        "the images in images are 12x10, the data 8x8 (height x width); give fit: crop, pad or stretch, or a dataset "
        "of their size"
    ]
    run = measured(tmp_path, "of: ./images, fit: stretch, metrics: [{use: diversity, samples: 20}]", trained)
    assert run.metrics("measured")["diversity"]["value"] == 0
    assert run["measured"].sample(3).shape == (3, 1, 8, 8)


def test_too_few_images_are_said_and_no_number_is_given(
    trained: ganvas.Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_images(tmp_path / "images", torch.zeros(24, 1, 8, 8))
    run = measured(tmp_path, "of: ./images, metrics: [{use: diversity, samples: 25}]", trained)
    assert run.metrics("measured") == {}
    assert (
        "measured: the metric 'diversity' was not measured: there are 24 images in images: give the metric samples: 24"
        in caplog.messages
    )


def test_what_the_measured_cannot_give_is_refused_before_anything_runs(tmp_path: Path) -> None:
    write_images(tmp_path / "images", torch.zeros(24, 1, 8, 8))
    assert refusal(tmp_path, "of: ./images, metrics: [attribute-accuracy, knn]") == [
        "attribute-accuracy needs a stage with a condition; give it one or drop the metric",
        "the metric 'knn' needs a stage that can encode; 'evaluation' cannot",
    ]
    assert refusal(tmp_path, "of: ./images, sampler: truncation, metrics: []") == [
        "the sampler 'truncation' needs a stage that can generate; 'evaluation' cannot"
    ]
    assert refusal(tmp_path, "of: gan, metrics: [knn]") == [
        "the metric 'knn' needs a stage that can encode; 'evaluation' cannot"
    ]


def test_data_of_five_channels_are_no_pictures() -> None:
    from ganvas.kinds.data import Data
    from ganvas_plugins.algorithms.evaluation import FolderOfImages

    class FiveChannels(Data):
        shape = (5, 8, 8)  # type: ignore[assignment]

        def __init__(self) -> None: ...

    with pytest.raises(ValueError, match=r"^a folder of images has 1 or 3 channels, and these data have 5$"):
        FolderOfImages(Path("images"), FiveChannels(), None)


def test_nothing_is_trained_and_the_record_says_so(trained: ganvas.Run, tmp_path: Path) -> None:
    run = measured(tmp_path, f"of: gan, metrics: {METRICS}", trained)
    record: dict[str, Any] = json.loads((run.folders["measured"] / "stage.json").read_text())
    assert record["steps"] == 0
    assert not list(run["measured"].algorithm.parameters())
    assert (run.folders["measured"] / "samples" / "samples-000000000.png").is_file()
