import pytest
import torch

from ganvas_plugins.layers import beside, halvings


@pytest.mark.parametrize(
    ("size", "depth"),
    [
        ((8, 8), 1),
        ((16, 16), 2),
        ((28, 28), 2),
        ((32, 32), 3),
        ((64, 64), 4),
        ((48, 64), 3),
        ((96, 128), 4),
        ((256, 256), 6),
    ],
)
def test_the_shorter_side_ends_between_four_and_seven(size, depth):
    assert halvings((3, *size)) == depth
    assert 4 <= min(size) >> depth <= 7


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((30, 30), ["[28, 28]", "[32, 32]"]),
        ((50, 70), ["[48, 64]", "[56, 72]"]),
        ((5, 5), ["[8, 8]"]),
        ((62, 70), ["[56, 64]", "[64, 80]"]),
    ],
)
def test_other_sizes_are_refused_with_sizes_that_fit(size, nearest):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}") as refusal:
        halvings((1, *size))
    for text in nearest:
        assert text in str(refusal.value)
        height, width = map(int, text.strip("[]").split(", "))
        halvings((1, height, width))


def test_a_condition_becomes_constant_maps():
    images, condition = torch.randn(2, 3, 4, 5), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    together = beside(images, condition)
    assert together.shape == (2, 5, 4, 5)
    assert torch.equal(together[:, :3], images)
    assert torch.equal(together[1, 4], torch.full((4, 5), 4.0))
