"""BYOL: its loss, its schedule, and a target network that no gradient and no optimizer reaches."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganvas import Progress, Step
from ganvas_plugins.encoders.byol import Byol, regression


def at(index, steps=10):
    return Step(
        index=index,
        size=4,
        steps=steps,
        device=torch.device("cpu"),
        rng=torch.Generator(),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )


@pytest.mark.parametrize("number", [1, 3])
def test_equal_opposite_and_orthogonal(number):
    q = torch.eye(4)[:number]
    assert regression(q * 3, q).item() == pytest.approx(0, abs=1e-6)
    assert regression(-q, q).item() == pytest.approx(4, abs=1e-6)
    assert regression(q.roll(1, 1), q).item() == pytest.approx(2, abs=1e-6)


def test_is_the_squared_distance_of_normalised_vectors():
    q, z = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)).double()
    expected = (F.normalize(q, dim=1) - F.normalize(z, dim=1)).square().sum(1).mean()
    torch.testing.assert_close(regression(q, z), expected)


@pytest.mark.slow
def test_agrees_with_lightly(same):
    lightly = pytest.importorskip("lightly.loss", reason="pip install -e '.[reference]' brings lightly to compare with")
    theirs = lightly.NegativeCosineSimilarity()
    same(regression, lambda q, z: 2 + 2 * theirs(q, z), sizes=((1, 4), (7, 5), (64, 33)))


def test_both_orders_are_summed_and_the_target_gets_no_gradient(flat):
    torch.manual_seed(0)
    encoder = Byol(flat(), projection=8, hidden=6).double()
    for buffer in encoder.target.buffers():  # a target that differs from the online network
        if buffer.is_floating_point():
            buffer.add_(0.1)
    first, second = torch.randn(2, 5, 3, 2, 2, dtype=torch.float64)

    def online(view):
        return encoder.predictor(encoder.projector(encoder.backbone(view)))

    terms = encoder.objective(first, second)
    expected = regression(online(first), encoder.target(second)) + regression(online(second), encoder.target(first))
    assert list(terms) == ["regression"]
    torch.testing.assert_close(terms["regression"], expected)
    torch.testing.assert_close(encoder.objective(second, first)["regression"], expected)
    torch.testing.assert_close(encoder.embeddings, encoder.encode(torch.cat([second, first])))
    terms["regression"].backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())
    assert not any(buffer.requires_grad for buffer in encoder.target.buffers())
    assert {name.split(".")[0] for name, _ in encoder.named_parameters()} == {"backbone", "projector", "predictor"}


def test_the_target_follows_backbone_and_projector_along_the_cosine(flat):
    torch.manual_seed(0)
    encoder = Byol(flat(), projection=8)
    online = {"network.0": encoder.backbone, "network.1": encoder.projector}
    mirrored = {f"{place}.{name}": value for place, part in online.items() for name, value in part.named_parameters()}
    before = {name: encoder.target.get_buffer(name).clone() for name in mirrored}
    assert all(torch.equal(before[name], value) for name, value in mirrored.items())
    with torch.no_grad():
        for value in mirrored.values():
            value.add_(torch.randn_like(value))
    index, steps = 3, 10
    momentum = 1 - (1 - 0.996) * (math.cos(math.pi * index / steps) + 1) / 2  # Grill et al., section 3.2
    encoder.after_update(Progress(at(index, steps)))
    for name, value in mirrored.items():
        assert torch.equal(encoder.target.get_buffer(name), torch.lerp(before[name], value.detach(), 1 - momentum))


def test_widths(flat):
    widths = [layer.weight.shape for layer in Byol(flat()).predictor if isinstance(layer, torch.nn.Linear)]
    assert widths == [(32, 256), (256, 32)]
    projector = Byol(flat(), projection=8, hidden=6).projector
    assert [layer.weight.shape for layer in projector if isinstance(layer, torch.nn.Linear)] == [(6, 16), (8, 6)]
