import math

import pytest
import torch

from ganvas_plugins.metrics.alignment_uniformity import AlignmentUniformity, apart, uniformity


def turned(images, rng):
    """Two views of a vector in the plane: itself, and itself turned by a right angle."""
    return [images, torch.stack([-images[..., 1], images[..., 0]], dim=-1)]


def drawn(images, rng):
    """One view, with noise of its own each time."""
    return [images + torch.randn(images.shape, generator=rng)]


def test_closed_forms_of_uniformity():
    assert uniformity(torch.tensor([[2.0, 0], [-3.0, 0]]), 2.0) == pytest.approx(-8)  # |f - g|^2 = 4
    assert uniformity(torch.tensor([[2.0, 0], [-3.0, 0]]), 0.5) == pytest.approx(-2)
    assert uniformity(torch.ones(300, 4), 2.0) == pytest.approx(0, abs=1e-12)  # collapsed
    # Corners of a square on the circle: four sides with |f - g|^2 = 2, two diagonals with 4.
    square = torch.tensor([[1.0, 0], [0, 1.0], [-1.0, 0], [0, -1.0]])
    assert uniformity(square, 2.0) == pytest.approx(math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6))


def test_uniformity_of_a_uniform_distribution():
    # E exp(-t (2 - 2 cos a)) over angles a is exp(-2t) I_0(2t), with Bessel's function.
    angles = torch.linspace(0, 2 * math.pi, 3001)[:-1].double()
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    expected = math.log(math.exp(-4) * torch.special.i0(torch.tensor(4.0, dtype=torch.double)))
    assert uniformity(circle, 2.0) == pytest.approx(expected, abs=1e-2)  # no pair of a point with itself


def test_alignment_of_known_views(encoder_stage):
    stage = encoder_stage(torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), views=turned)
    for alpha, expected in ((2.0, 2.0), (1.0, math.sqrt(2))):
        found = AlignmentUniformity(stage.data, alpha=alpha).measure(stage)
        assert found["alignment-uniformity.alignment"].value == pytest.approx(expected, rel=1e-6)
        assert {value.better for value in found.values()} == {"lower"}
    assert apart(torch.tensor([[3.0, 0]]), torch.tensor([[-1.0, 0]]), 3.0).item() == pytest.approx(8)


def test_turning_and_scaling_the_features_changes_nothing():
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1))).Q
    assert uniformity(3 * features @ turn, 2.0) == pytest.approx(uniformity(features, 2.0), rel=1e-6)


def test_one_view_is_drawn_twice(encoder_stage):
    stage = encoder_stage(torch.zeros(400, 6), views=drawn)
    found = [AlignmentUniformity(stage.data).measure(stage)["alignment-uniformity.alignment"].value for _ in range(2)]
    assert found[0] == found[1] == pytest.approx(2, abs=0.1)  # two random directions are at a right angle


@pytest.mark.parametrize("views", [None, lambda images, rng: []])
def test_without_views_there_is_uniformity_alone_and_labels_are_not_needed(views, encoder_stage):
    stage = encoder_stage(torch.eye(4), views=views)
    metric = AlignmentUniformity(stage.data, t=1.0, samples=3)
    assert {name: value.value for name, value in metric.measure(stage).items()} == {
        "alignment-uniformity.uniformity": pytest.approx(-2)
    }
    assert metric.protocol == {"alpha": 2.0, "t": 1.0, "samples": 3}
