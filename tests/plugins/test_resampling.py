import pytest
import torch
from torch.nn.functional import interpolate

from ganvas_plugins.resampling import Filter

WIDE, NARROW = (1, 3, 3, 1), (1, 2, 1)


@pytest.mark.parametrize("taps", [WIDE, NARROW])
def test_sides_double_and_halve_and_doubling_is_the_transpose(taps):
    coarse, fine = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 8, 12)
    up, down = Filter(taps, "up")(coarse), Filter(taps, "down")(fine)
    assert (up.shape, down.shape) == (fine.shape, coarse.shape)
    torch.testing.assert_close((up * fine).sum(), 4 * (coarse * down).sum())


def test_within_the_border_the_wide_filter_doubles_as_bilinear_interpolation_does():
    maps = torch.randn(1, 2, 6, 5)
    expected = interpolate(maps, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(Filter(WIDE, "up")(maps)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_the_narrow_filter_keeps_each_value_and_puts_the_mean_of_neighbours_between():
    maps = torch.tensor([[1.0, 3.0], [5.0, 9.0]])[None, None]
    doubled = Filter(NARROW, "up")(maps)[0, 0]
    assert doubled[:3, :3].tolist() == [[1, 2, 3], [3, 4.5, 6], [5, 7, 9]]
    assert doubled[3].tolist() == [2.5, 3.5, 4.5, 2.25]  # zeros lie beyond the border


@pytest.mark.parametrize("taps", [WIDE, NARROW])
def test_what_does_not_vary_keeps_its_value_within_the_border(taps):
    flat = torch.ones(1, 1, 8, 8)
    for mode in ("up", "down"):
        inside = Filter(taps, mode)(flat)[..., 1:-1, 1:-1]
        torch.testing.assert_close(inside, torch.ones_like(inside))
    padded = Filter(taps, "same", padding=0, gain=3.0)(flat)
    torch.testing.assert_close(padded, torch.full_like(padded, 3.0))


def test_the_constant_is_no_part_of_the_state():
    assert Filter(WIDE, "up").state_dict() == {}
