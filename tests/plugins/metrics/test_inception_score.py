"""The Inception score in closed form, and against its definition in numpy."""

import math

import numpy as np
import pytest
import torch

from ganvas_plugins.metrics.inception_score import InceptionScore, score


def by_definition(logits):
    logits = logits - logits.max(1, keepdims=True)
    given = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    marginal = given.mean(0)
    return math.exp(np.mean([sum(p * math.log(p / q) for p, q in zip(row, marginal)) for row in given]))


def test_the_definition():
    logits = np.random.default_rng(0).normal(size=(50, 7)) * 2
    assert float(score(torch.from_numpy(logits))) == pytest.approx(by_definition(logits), rel=1e-12)


def test_another_implementation():
    other = pytest.importorskip(
        "torch_fidelity.metric_isc", reason="pip install -e '.[reference]' brings torch-fidelity to compare with"
    )
    logits = torch.from_numpy(np.random.default_rng(2).normal(size=(60, 9)) * 3)
    expected = other.isc_features_to_metric(logits, splits=3, shuffle=False)
    found = torch.stack([score(part) for part in logits.tensor_split(3)])
    assert float(found.mean()) == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert float(found.std(correction=0)) == pytest.approx(expected["inception_score_std"], rel=1e-9)


def test_one_where_all_look_the_same_and_the_number_of_classes_where_each_is_clear():
    assert float(score(torch.zeros(30, 5).double())) == pytest.approx(1, abs=1e-12)
    assert float(score(torch.ones(30, 1).double() * torch.tensor([3.0, 1.0, -7.0]))) == pytest.approx(1, abs=1e-12)
    clear = 1e4 * torch.eye(5, dtype=torch.float64).repeat(6, 1)  # no other class has any probability left
    assert float(score(clear)) == pytest.approx(5, rel=1e-12)
    assert float(score(clear[:, :4])) == pytest.approx(4**0.8, rel=1e-12)  # one row in five is of all four
    halves = torch.tensor([[0.0, 0.0, -1e4], [-1e4, 0.0, 0.0]]).double()
    assert float(score(halves)) == pytest.approx(math.exp(1.5 * math.log(2) - math.log(2)), rel=1e-12)


def test_parts_are_measured_on_their_own(drawn, itself):
    logits = np.random.default_rng(1).normal(size=(23, 4)).astype(np.float32)
    stage = drawn(torch.zeros(2, 4), torch.from_numpy(logits))
    metric = InceptionScore(stage.data, extractor=lambda: itself(4, classes=4), samples=23, splits=4)
    (found,) = metric.measure(stage).items()
    parts = [by_definition(part.astype(np.float64)) for part in np.array_split(logits, 4)]
    assert found[0] == "inception-score@itself"
    assert found[1].value == pytest.approx(np.mean(parts), rel=1e-9)
    assert found[1].deviation == pytest.approx(np.std(parts), rel=1e-9)
    assert found[1].better == "higher"
    whole = InceptionScore(stage.data, extractor=lambda: itself(4, classes=4), samples=23, splits=1).measure(stage)
    assert whole["inception-score@itself"].value == pytest.approx(by_definition(logits.astype(np.float64)), rel=1e-9)
    assert whole["inception-score@itself"].deviation is None
    assert metric.protocol == {"samples": 23, "splits": 4, "extractor": "itself"}
