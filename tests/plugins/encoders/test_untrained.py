"""The lower reference: what is not trained does not change."""

import json

import torch

import ganvas
from ganvas.engine.training import train
from ganvas.runs import experiment
from ganvas_plugins.encoders.untrained import Untrained


def test_no_terms_and_the_backbones_features(flat):
    backbone = flat()
    encoder = Untrained(backbone)
    assert encoder.objective() == {}
    assert Untrained.views == ()
    images = torch.randn(2, 3, 2, 2)
    assert torch.equal(encoder.encode(images), backbone(images))


def test_the_seed_alone_makes_the_weights(tmp_path, monkeypatch):
    """Whatever the steps, the optimizer and its weight decay: the network at the end is the one at the start."""
    started = []

    def recorded(job):
        started.append({name: value.clone() for name, value in job.algorithm.state_dict().items()})
        return train(job)

    monkeypatch.setattr(experiment, "train", recorded)

    def features(seed, steps):
        stage = {
            "use": "self-supervised",
            "encoder": "untrained",
            "backbone": {"use": "timm", "model": "test_resnet", "stem": "original"},
            "optimizers": {"use": "sgd", "weight_decay": 0.1, "momentum": 0.9},
            "steps": steps,
            "log_every": 1,
            "batch_size": 8,
        }
        spec = tmp_path / "spec.yaml"
        spec.write_text(json.dumps({"seed": seed, "dataset": "digits", "stages": {"features": stage}}))
        return ganvas.train(spec, runs=tmp_path / "runs", device="cpu")["features"]

    first, longer, other = features(0, 1), features(0, 3), features(1, 1)
    images = torch.randn(2, 1, 8, 8)
    for name, value in first.algorithm.state_dict().items():
        assert torch.equal(value, started[0][name])
    assert torch.equal(first.encode(images), longer.encode(images))
    assert not torch.equal(first.encode(images), other.encode(images))
