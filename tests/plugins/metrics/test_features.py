"""Which part of the data a metric is fitted to, and which it is measured on."""

import pytest
import torch

from ganvas_plugins.metrics.features import check_labels
from ganvas_plugins.metrics.knn import Knn


def test_what_the_data_hold_out_is_tested_on(encoder_stage, blobs):
    features, labels = blobs()
    others = blobs(number=5, seed=1)
    stage = encoder_stage(features, labels, held=others)
    metric = Knn(stage.data, k=3)
    fitted, tested = metric.parts(stage)
    assert torch.equal(fitted.features, features)
    assert torch.equal(tested.features, others[0])
    assert tested.labels.tolist() == others[1]
    assert metric.protocol == {
        "k": 3,
        "temperature": 0.07,
        "test": "held out by the data",
        "fitted to": 120,
        "tested on": 15,
    }


def test_otherwise_a_share_is_drawn(encoder_stage, blobs):
    features, labels = blobs()
    stage = encoder_stage(features, labels)
    parts = {}
    for seed in (0, 0, 1):
        fitted, tested = Knn(stage.data, share=0.25, seed=seed).parts(stage)
        both = torch.cat([fitted.index, tested.index])
        assert both.sort().values.tolist() == list(range(120))
        assert len(tested.features) == 30
        assert torch.equal(tested.features, features[tested.index])
        assert parts.setdefault(seed, tested.index.tolist()) == tested.index.tolist()
    assert parts[0] != parts[1]
    protocol = Knn(stage.data, share=0.25, seed=1).protocol
    assert protocol["test"] == "a share of 0.25 of the training images, drawn with seed 1"
    assert (protocol["fitted to"], protocol["tested on"]) == (90, 30)


def test_data_without_classes_are_refused(encoder_stage, blobs):
    stage = encoder_stage(blobs()[0])
    with pytest.raises(ValueError) as refusal:
        check_labels("knn", stage.data)
    assert str(refusal.value) == (
        "knn needs labels, and these data give images; "
        "measure alignment-uniformity, which needs none, or use data with classes"
    )


def test_all_share_one_pass(encoder_stage, blobs):
    stage = encoder_stage(*blobs())
    for _ in range(3):
        Knn(stage.data, k=3).measure(stage)
    assert stage.algorithm.calls == 1
