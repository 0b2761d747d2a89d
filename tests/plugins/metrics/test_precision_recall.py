"""Precision and recall by hand, by their definition in numpy, and what must hold of them."""

import numpy as np
import pytest
import torch

from ganvas_plugins.metrics.precision_recall import PrecisionRecall, precision_recall


def points(number, width=3, seed=0, shift=0.0):
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(real, fake, k):
    """A point lies among a set if some point of it is no farther than that one's k-th nearest neighbour."""

    def share(inside, of):
        count = 0
        for point in inside:
            for i, centre in enumerate(of):
                radius = sorted(np.linalg.norm(other - centre) for j, other in enumerate(of) if j != i)[k - 1]
                if np.linalg.norm(point - centre) <= radius:
                    count += 1
                    break
        return count / len(inside)

    return share(fake, real), share(real, fake)


@pytest.mark.parametrize("k", [1, 3])
def test_the_definition(k):
    real, fake = points(25), points(20, seed=1, shift=0.7)
    expected = by_definition(real.double().numpy(), fake.double().numpy(), k)
    assert 0 < min(expected) < 1
    assert precision_recall(real, fake, k) == pytest.approx(expected, abs=1e-12)
    assert precision_recall(fake, real, k) == pytest.approx(expected[::-1], abs=1e-12)


def test_the_package_of_its_successors():
    prdc = pytest.importorskip("prdc", reason="pip install -e '.[reference]' brings prdc to compare with")
    real, fake = points(300, 8), points(250, 8, seed=1, shift=0.3)
    expected = prdc.compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=4)
    assert 0.2 < expected["precision"] < 0.99
    # There a border is outside.
    assert precision_recall(real, fake, 4) == pytest.approx((expected["precision"], expected["recall"]), abs=1e-12)


def test_on_a_line_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0]])  # radii 1, 1, 2 for k = 1
    fake = torch.tensor([[-1.0], [5.0], [5.5], [20.0]])  # radii 6, 0.5, 0.5, 14.5
    precision, recall = precision_recall(real, fake, 1)
    assert precision == 2 / 4  # -1 and 5 lie on the border of a ball, 5.5 and 20 outside
    assert recall == 1  # all within 6 of -1


def test_one_for_equal_sets_even_of_equal_points_and_zero_far_away():
    real = points(40)
    assert precision_recall(real, real, 3) == (1, 1)
    assert precision_recall(real, real.flip(0), 3) == (1, 1)
    copies = real[:4].repeat(10, 1)  # each point ten times: radii of 0
    assert precision_recall(copies, copies, 3) == (1, 1)
    assert precision_recall(real, real + 1000, 3) == (0, 0)


def test_of_one_mode_in_two_all_samples_are_good_and_half_of_the_data_is_found():
    near, far = points(60), points(60, seed=1, shift=50)
    precision, recall = precision_recall(torch.cat([near, far]), points(120, seed=2), 3)
    assert precision > 0.9
    assert 0.4 < recall <= 0.5


def test_neither_turns_shifts_nor_scales_matter():
    real, fake = points(30), points(30, seed=1, shift=0.5)
    turn = torch.linalg.qr(points(3, seed=3))[0]
    expected = precision_recall(real, fake, 3)
    for change in (lambda x: x @ turn, lambda x: x + 7, lambda x: 100 * x):
        assert precision_recall(change(real), change(fake), 3) == expected


def test_the_metric(drawn, itself):
    real, fake = points(25), points(20, seed=1, shift=0.7)
    stage = drawn(real, fake)
    metric = PrecisionRecall(stage.data, extractor=lambda: itself(3), samples=20, k=2)
    found = metric.measure(stage)
    precision, recall = precision_recall(real, fake, 2)
    assert {name: value.value for name, value in found.items()} == {
        "precision-recall@itself.precision": precision,
        "precision-recall@itself.recall": recall,
    }
    assert {value.better for value in found.values()} == {"higher"}
    assert metric.protocol == {"k": 2, "samples": 20, "real": "all", "extractor": "itself"}
    few = drawn(real[:3], fake)
    with pytest.raises(ValueError) as refusal:
        PrecisionRecall(few.data, extractor=lambda: itself(3), samples=20).measure(few)
    assert str(refusal.value) == "of 3 images none has a neighbour of rank 3; take more images or lower k"
