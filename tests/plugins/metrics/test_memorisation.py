"""Nearest training images: copies, new samples and bad ones; and the picture of the nearest pairs."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

import ganvas
from ganvas.runs.finding import evaluate_run
from ganvas_plugins.metrics.memorisation import Memorisation, probability_below


def points(number, width=3, seed=0, shift=0.0):
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.fixture
def measured(drawn, itself):
    def measure(known, fake, held, **options):
        stage = drawn(known, fake, held=held)
        metric = Memorisation(stage.data, extractor=lambda: itself(3), samples=len(fake), **options)
        found = metric.measure(stage)
        assert [value.better for value in found.values()] == ["lower", "higher"]
        assert list(found) == ["memorisation@itself.nearer", "memorisation@itself.distance"]
        return metric, *(value.value for value in found.values())

    return measure


def test_by_hand(measured):
    real = torch.tensor([[0.0, 0, 0], [10, 0, 0]])
    held = torch.tensor([[2.0, 0, 0], [10, 0, 4], [0, 6, 0]])  # 2, 4 and 6 away
    fake = torch.tensor([[1.0, 0, 0], [10, 4, 0], [10, 0, 10]])  # 1, 4 and 10 away
    _, nearer, distance = measured(real, fake, held)
    assert nearer == pytest.approx((3 + 1.5 + 0) / 9)
    assert distance == 1


def test_copies_new_samples_and_bad_ones(measured):
    real, held = points(300), points(300, seed=1)
    copies = real[:200] + 1e-3 * points(200, seed=3)
    assert measured(real, copies, held)[1] > 0.99
    assert measured(real, copies, held)[2] < 0.01
    assert measured(real, real[:200], held)[2] == 0
    _, nearer, distance = measured(real, points(200, seed=2), held)
    assert nearer == pytest.approx(0.5, abs=0.05)
    assert distance == pytest.approx(1, abs=0.15)
    assert measured(real, points(200, shift=50), held)[1] == 0


def test_the_probability_is_mann_whitneys():
    first = torch.from_numpy(np.random.default_rng(0).integers(0, 9, 40).astype(float))
    second = torch.from_numpy(np.random.default_rng(1).integers(2, 12, 30).astype(float))
    statistic = mannwhitneyu(second.numpy(), first.numpy()).statistic
    assert probability_below(first, second) == pytest.approx(statistic / (40 * 30), rel=1e-12)
    assert probability_below(first, first) == pytest.approx(0.5)


def test_the_picture_shows_the_nearest_samples_with_their_originals(measured):
    real = torch.arange(10.0).unsqueeze(1) * torch.tensor([1.0, 0, 0])
    fake = torch.tensor([[3.0, 0.5, 0], [7, 0, 0.1], [1, 0.2, 0], [8, 9, 9]])
    metric, _, _ = measured(real, fake, points(5), pictures=3)
    (picture,) = metric.previews().values()
    assert list(metric.previews()) == ["memorisation@itself"]
    expected = [fake[1], real[7], fake[2], real[1], fake[0], real[3]]
    assert torch.equal(picture.images.flatten(1), torch.stack(expected))
    fake += torch.tensor([0.2, 0, 0])  # of every second real image now, 4, 8 and 2 are the nearest
    metric, _, _ = measured(real, fake, points(5), pictures=3, real=5)
    (picture,) = metric.previews().values()
    assert torch.equal(picture.images.flatten(1)[1::2], real[[8, 2, 4]])
    assert torch.equal(picture.images.flatten(1)[::2], fake[[1, 2, 0]])
    assert measured(real, fake, points(5), pictures=0)[0].previews() == {}


def test_held_out_images_that_were_trained_on(measured):
    with pytest.raises(ValueError) as refusal:
        measured(points(20), points(10), points(20)[:12])
    assert str(refusal.value) == (
        "half of the images that the data hold out are in the training data too; remove what is there twice"
    )


def test_the_protocol(measured):
    metric, _, _ = measured(points(20), points(10), points(5, seed=1))
    assert metric.protocol == {
        "held out": "as many as samples, or all",
        "samples": 10,
        "real": "all",
        "extractor": "itself",
    }


SPEC = """
dataset: {use: digits, holdout: 0.5}
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: dcgan, channels: 4}
    steps: 2
    batch_size: 8
    evaluate:
      every: 1
      metrics: [{use: memorisation, extractor: {use: random, width: 8, side: 8}, samples: 20, pictures: 4}]
"""


def test_pictures_lie_with_the_samples(tmp_path):
    """Of the evaluation while training, of the last one, and of one of a finished run."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    run = ganvas.train(tmp_path / "spec.yaml", runs=tmp_path / "runs", device="cpu")
    folder = run.folders["gan"] / "samples"
    names = [f"memorisation@random-8-{index:09d}.png" for index in (1, 2)]
    assert [path.name for path in sorted(folder.glob("memorisation*"))] == names
    (folder / names[1]).unlink()
    asked = "{use: memorisation, extractor: {use: random, width: 8, side: 8}, samples: 20}"
    _, found = evaluate_run(str(run.folders["gan"]), None, [asked], [], tmp_path, "cpu", lambda line: None)
    assert found["memorisation@random-8.nearer"]["value"] == run.metrics("gan")["memorisation@random-8.nearer"]["value"]
    assert (folder / names[1]).is_file()
