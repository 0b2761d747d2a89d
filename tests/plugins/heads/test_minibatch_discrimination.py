import pytest
import torch

from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.minibatch_discrimination import MinibatchDiscrimination


def discriminating(features=6, kernels=3, dimensions=2, weight_norm=False):
    torch.manual_seed(0)
    return MinibatchDiscrimination(
        features, None, kernels=kernels, dimensions=dimensions, weight_norm=weight_norm, head=LinearHead
    )


@pytest.mark.parametrize("weight_norm", [False, True])
def test_closeness_is_the_papers_sum(weight_norm):
    head = discriminating(weight_norm=weight_norm)
    features = torch.randn(5, 6)
    matrix = (features @ head.projection.weight.T).view(5, 3, 2)
    expected = torch.zeros(5, 3)
    for i in range(5):
        for kernel in range(3):
            for j in range(5):
                if j != i:
                    expected[i, kernel] += (-(matrix[i, kernel] - matrix[j, kernel]).abs().sum()).exp()
    torch.testing.assert_close(head.statistics(features), expected)


def test_equal_samples_are_as_close_as_can_be_and_far_ones_not_at_all():
    head = discriminating()
    assert torch.equal(head.statistics(torch.randn(1, 6).expand(7, -1)), torch.full((7, 3), 6.0))
    assert torch.equal(head.statistics(1e4 * torch.randn(7, 6)), torch.zeros(7, 3))
    assert torch.equal(head.statistics(torch.randn(1, 6)), torch.zeros(1, 3))


def test_permuting_the_batch_permutes_the_scores():
    head, order = discriminating(), torch.randperm(8)
    maps = torch.randn(8, 6, 3, 2)
    torch.testing.assert_close(head(maps[order]).scores, head(maps).scores[order])


def test_maps_are_averaged_and_every_place_is_told_the_same():
    head = discriminating()
    maps = torch.randn(4, 6, 3, 2)
    torch.testing.assert_close(head.statistics(maps), head.statistics(maps.mean((2, 3))))
    moved = head(torch.cat([maps[:1], maps[1:] + 0.5])).scores[0] - head(maps).scores[0]
    assert moved.abs().min() > 1e-4
    torch.testing.assert_close(moved, moved[0, 0].expand(3, 2))


def test_with_weight_norm_rows_start_at_length_one_and_learn_their_length():
    head = discriminating(weight_norm=True)
    torch.testing.assert_close(head.projection.weight.norm(dim=1), torch.ones(6))
    names = [name for name, parameter in head.named_parameters() if parameter.shape[:1] == (6,)]
    assert names == ["projection.parametrizations.weight.original0", "projection.parametrizations.weight.original1"]
    assert [name for name, _ in discriminating().named_parameters()] == [
        "projection.weight",
        "head.score.weight",
        "head.score.bias",
    ]


def test_the_defaults_are_the_papers_code():
    head = MinibatchDiscrimination(6, None, head=LinearHead)
    assert head.projection.weight.shape == (500, 6)
    assert head.head.score.in_features == 106
