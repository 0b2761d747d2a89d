"""One pass over the images for all metrics, kept real features, and which images give no features."""

import json
import logging

import pytest
import torch

import ganvas
from ganvas.registry.documents import Mistakes
from ganvas_plugins.metrics import comparison
from ganvas_plugins.metrics.comparison import features_of, real_features, warn_once
from ganvas_plugins.metrics.density_coverage import DensityCoverage
from ganvas_plugins.metrics.fid import Fid
from ganvas_plugins.metrics.kid import Kid
from ganvas_plugins.metrics.precision_recall import PrecisionRecall


def points(number, width=4, seed=0):
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("order", [1, -1])
def test_all_share_one_pass_over_fakes_and_reals(drawn, itself, order):
    stage = drawn(points(150), points(120, seed=1))
    extractor = itself(4)
    metrics = [
        kind(stage.data, extractor=lambda: extractor, samples=120, **options)
        for kind, options in (
            (Fid, {}),
            (Kid, {"size": 50, "subsets": 2}),
            (PrecisionRecall, {}),
            (DensityCoverage, {}),
        )
    ]
    for metric in metrics[::order]:
        metric.measure(stage)
    assert extractor.seen == 150 + 120
    # Another evaluation (the weights have changed) draws anew, and has the real features at hand.
    stage.forget()
    before = [metric.measure(stage) for metric in metrics]
    assert extractor.seen == 150 + 120 + 120
    assert [metric.measure(stage) for metric in metrics] == before


def test_real_features_are_kept_by_data_extractor_and_number(drawn, itself, tmp_path):
    extractor, real = itself(4), points(30)
    for _ in range(2):
        assert torch.equal(real_features(drawn(real), extractor, None), real)
    assert extractor.seen == 30
    assert torch.equal(real_features(drawn(real), extractor, 40), real)  # all are all
    assert extractor.seen == 30
    assert torch.equal(real_features(drawn(real), extractor, 10), real[::3])
    assert torch.equal(real_features(drawn(real + 1), extractor, None), real + 1)
    held = points(5, seed=1)
    assert torch.equal(real_features(drawn(real, held=held), extractor, None, held_out=True), held)
    extractor.name = "another"
    real_features(drawn(real), extractor, None)
    assert extractor.seen == 30 + 10 + 30 + 5 + 30
    assert len(list((tmp_path / "cache").glob("features-*"))) == 5


def test_more_than_is_kept_is_streamed(drawn, itself, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "KEPT", 100)
    stage, extractor = drawn(points(150), points(20, seed=1)), itself(4)
    streamed = Fid(stage.data, extractor=lambda: extractor, samples=20).measure(stage)
    assert not list((tmp_path / "cache").glob("features-*"))
    assert len(list((tmp_path / "cache").glob("moments-*"))) == 1
    assert torch.equal(real_features(stage, extractor, None), points(150))
    monkeypatch.undo()
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "other"))
    stage.forget()
    assert Fid(stage.data, extractor=lambda: extractor, samples=20).measure(stage) == streamed


def refusal(make):
    with pytest.raises(ValueError) as refused:
        make()
    return str(refused.value)


def test_images_that_are_not_finite_are_named(drawn, itself):
    fake = points(100)
    fake[[3, 70, 99], 2] = torch.nan
    stage = drawn(points(50), fake)
    metric = Fid(stage.data, extractor=lambda: itself(4), samples=100)
    assert refusal(lambda: metric.measure(stage)) == (
        "3 of 100 generated images hold numbers that are not finite (images 3, 70, 99); what made them diverged"
    )


def test_features_that_are_not_finite_are_told_with_their_images(drawn, itself):
    class Dividing(itself):
        def forward(self, images):
            return super().forward(images) / images.flatten(1)[:, :1]

    real = torch.arange(1, 101.0).unsqueeze(1).repeat(1, 2)
    real[10:40:4] = 0
    extractor = Dividing(2)
    expected = (
        "the features of 8 of 100 real images are not finite (images 10, 14, 18, 22, 26 and 3 more); "
        "the extractor itself diverged: use another"
    )
    stage = drawn(real)
    for _ in range(2):  # nothing of it was kept
        assert refusal(lambda: real_features(stage, extractor, None)) == expected
    # Of a part of the data, too, the images are named by their place in the data.
    assert refusal(lambda: real_features(stage, extractor, 50)) == (
        "the features of 8 of 50 real images are not finite (images 10, 14, 18, 22, 26 and 3 more); "
        "the extractor itself diverged: use another"
    )
    assert features_of(itself(2), real[:, None, None], "generated").shape == (100, 2)


def test_a_line_is_told_once(caplog):
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "ganvas"):
        for line in ("one", "two", "one"):
            warn_once(line)
    assert caplog.messages == ["one", "two"]


SPEC = {
    "dataset": {"use": "digits"},
    "stages": {
        "gan": {
            "use": "gan",
            "generator": {"use": "dcgan", "channels": 4, "latent": 4},
            "discriminator": {"use": "dcgan", "channels": 4},
            "steps": 1,
            "batch_size": 8,
        }
    },
}
RANDOM = {"extractor": "random", "samples": 10}
CLASSES = (
    "needs an extractor that tells classes apart, and random tells none; use classifier (for labelled data), a stage "
    "that trained a classifier, efficientnet-lite0 or inception"
)
REFUSED = [
    ({"use": "kid", "extractor": "random"}, None),
    (
        {"use": "kid", "extractor": "random", "real": 500},
        "a subset of 1000 images cannot be drawn from 500; lower size to 500 at most",
    ),
    ({"use": "inception-score", **RANDOM}, f"inception-score {CLASSES}"),
    (
        {"use": "inception-score", "extractor": "classifier", "samples": 5},
        "5 images make no 10 parts; raise samples or lower splits",
    ),
    (
        {"use": "precision-recall", **RANDOM, "k": 10},
        "of 10 images none has a neighbour of rank 10; take more images or lower k",
    ),
    (
        {"use": "density-coverage", **RANDOM, "real": 5},
        "of 5 images none has a neighbour of rank 5; take more images or lower k",
    ),
    (
        {"use": "intra-class-fid", **RANDOM},
        "intra-class-fid needs a stage whose condition is one class per image; use labels or clusters, or measure fid",
    ),
    ({"use": "mode-coverage", **RANDOM}, f"mode-coverage {CLASSES}"),
    (
        {"use": "memorisation", **RANDOM},
        "memorisation compares with real images that training did not see, and these data hold none out; give the "
        "dataset the option holdout, or drop the metric",
    ),
    ({"use": "condition-accuracy", **RANDOM}, f"condition-accuracy {CLASSES}"),
    (
        {"use": "condition-accuracy"},
        "condition-accuracy needs a stage whose condition is made of real images; use latent, clusters or labels, or "
        "drop the metric",
    ),
    (
        {"use": "chamfer", **RANDOM, "real": 10, "variant": "embedded"},
        "20 points are too few for a t-SNE of perplexity 30; raise points, samples and real, or lower perplexity to 6 "
        "at most",
    ),
    (
        {"use": "classification-accuracy-score"},
        "classification-accuracy-score needs a stage whose condition is one class per image; use labels or clusters, "
        "or measure fid",
    ),
    ({"use": "perceptual-path-length", **RANDOM}, None),
    (
        {"use": "perceptual-path-length", **RANDOM, "space": "w"},
        "DcganGenerator has no styles for ways in w; use space: z, or generator: stylegan2",
    ),
    ({"use": "mode-coverage", "extractor": "channels"}, None),
]


def test_check_refuses_what_a_stage_cannot_give(tmp_path):
    """All at once, one line each, where they stand."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(SPEC))
    with pytest.raises(Mistakes) as mistakes:
        ganvas.check(spec, {"stages.gan.evaluate": {"metrics": [metric for metric, _ in REFUSED]}})
    told = [line.partition("metrics[")[2] for line in str(mistakes.value).splitlines()]
    assert told == [f"{place}]: {line}" for place, (_, line) in enumerate(REFUSED) if line is not None]
