"""LARS against its equations, written out by hand."""

import json
import math

import pytest
import torch
from torch import nn

import ganvas
from ganvas_plugins.optimizers.lars import Lars


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def fill(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def by_hand(weights, velocity, gradient, *, lr, momentum, decay, trust, adapted):
    """You et al., equation 6 and algorithm 1."""
    rate = 1.0
    if adapted:
        length, slope = weights.norm().item(), gradient.norm().item()
        rate = trust * length / (slope + decay * length) if length and slope else 1.0
    step = gradient + decay * weights if adapted else gradient
    velocity = momentum * velocity + lr * rate * step
    return weights - velocity, velocity


@pytest.mark.parametrize("one_dimensional", [False, True])
def test_equals_the_formula(one_dimensional):
    model = network()
    options = {"lr": 0.7, "momentum": 0.9, "trust": 0.02}
    optimizer = Lars(**options, weight_decay=0.1, one_dimensional=one_dimensional).build(model.parameters())
    expected = [(parameter.detach().clone(), torch.zeros_like(parameter)) for parameter in model.parameters()]
    for number in range(4):
        fill(model.parameters(), number)
        expected = [
            by_hand(*pair, parameter.grad, **options, decay=0.1, adapted=one_dimensional or parameter.dim() > 1)
            for pair, parameter in zip(expected, model.parameters(), strict=True)
        ]
        optimizer.step()
    for (weights, _), parameter in zip(expected, model.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), weights, rtol=1e-12, atol=1e-12)


def test_the_first_step_is_a_share_of_the_weights_length():
    weights = nn.Parameter(torch.randn(5, 4, dtype=torch.float64))
    length = weights.detach().norm()
    optimizer = Lars(lr=1.0, weight_decay=0.0, trust=0.25).build([weights])
    before = weights.detach().clone()
    weights.grad = torch.randn(5, 4, dtype=torch.float64) * 1e6  # however steep
    optimizer.step()
    torch.testing.assert_close((weights.detach() - before).norm(), 0.25 * length)


def test_weights_and_gradients_of_length_zero():
    for start, slope in ((0.0, 1.0), (1.0, 0.0)):
        weights = nn.Parameter(torch.full((2, 2), start))
        optimizer = Lars(lr=0.5, weight_decay=0.0).build([weights])
        weights.grad = torch.full((2, 2), slope)
        optimizer.step()
        assert torch.equal(weights.detach(), torch.full((2, 2), start - 0.5 * slope))


def test_what_has_no_gradient_stays():
    moved, still = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = Lars(weight_decay=0.5).build([moved, still])
    moved.grad = torch.ones(2, 2)
    optimizer.step()
    assert torch.equal(still.detach(), torch.ones(2, 2))
    assert not torch.equal(moved.detach(), torch.ones(2, 2))


def test_its_state_is_saved():
    straight, first = network(), network()
    one, two = Lars().build(straight.parameters()), Lars().build(first.parameters())
    second = network()
    three = Lars().build(second.parameters())
    for number in range(2):
        for model, optimizer in ((straight, one), (first, two)):
            fill(model.parameters(), number)
            optimizer.step()
    second.load_state_dict(first.state_dict())
    three.load_state_dict(two.state_dict())
    assert {name for kept in two.state_dict()["state"].values() for name in kept} == {"momentum_buffer"}
    for model, optimizer in ((straight, one), (second, three)):
        fill(model.parameters(), 2)
        optimizer.step()
    for one_of, other in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(one_of, other)


def test_warm_up_and_cosine_in_a_stage(tmp_path):
    """The learning rate of each iteration: up in a straight line, down along half a cosine."""
    stage = {
        "use": "self-supervised",
        "backbone": {"use": "timm", "model": "test_resnet", "stem": "original"},
        "optimizers": {"use": "lars", "lr": {"from": 0.4, "to": 0.04, "shape": "cosine", "warm_up": 0.25}},
        "steps": 8,
        "batch_size": 8,
        "log_every": 1,
    }
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps({"dataset": "digits", "stages": {"features": stage}}))
    run = ganvas.train(spec, runs=tmp_path / "runs", device="cpu")
    lines = [json.loads(line) for line in (run.folders["features"] / "metrics.jsonl").read_text().splitlines()]
    rates = [line["grad/learning-rate.encoder"] for line in lines if "grad/learning-rate.encoder" in line]
    cosine = [0.04 + 0.36 * (1 + math.cos(math.pi * done / 6)) / 2 for done in range(6)]
    assert rates == pytest.approx([0.0, 0.2, *cosine])
    assert all(line["scores/effective-rank"] >= 1 for line in lines)
