import torch

from ganvas_plugins.heads.linear import LinearHead


def test_a_map_is_scored_place_by_place_like_flat_features():
    head = LinearHead(5, None)
    maps = torch.randn(2, 5, 3, 4)
    scores = head(maps).scores
    assert scores.shape == (2, 3, 4)
    assert head(maps[:, :, 1, 2]).scores.shape == (2,)
    torch.testing.assert_close(scores[:, 1, 2], head(maps[:, :, 1, 2]).scores)


def test_it_is_affine_in_the_features():
    head = LinearHead(5, (3,))
    a, b = torch.randn(2, 5), torch.randn(2, 5)
    torch.testing.assert_close(head(a + b).scores + head(0 * a).scores, head(a).scores + head(b).scores)
    assert not head.conditional


def test_a_window_of_four_makes_the_map_one_smaller():
    head = LinearHead(5, None, kernel=4)
    maps = torch.randn(2, 5, 7, 9)
    scores = head(maps).scores
    assert scores.shape == (2, 6, 8)
    weight, bias = head.score.weight[0], head.score.bias
    torch.testing.assert_close(scores[0, 1, 1], (maps[0, :, 0:4, 0:4] * weight).sum() + bias[0])
