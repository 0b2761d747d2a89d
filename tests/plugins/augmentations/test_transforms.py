import math

import pytest
import torch
import torch.nn.functional as F

from ganvas_plugins.augmentations import transforms
from ganvas_plugins.augmentations.transforms import (
    Affine,
    Draws,
    cut_out,
    filtered,
    mirrored,
    moved,
    noised,
    octaves,
    recoloured,
    resampled,
)


def draws(number, probability=1.0, seed=0, dtype=torch.float32):
    return Draws(number, torch.tensor(probability), torch.Generator().manual_seed(seed), dtype)


class Told(Draws):
    """Gives the numbers that it is told, in order, to all images alike; each drawn thing happens."""

    def __init__(self, number, *numbers):
        super().__init__(number, torch.tensor(1.0), torch.Generator(), torch.float32)
        self.numbers = list(numbers)

    def where(self, share, values, otherwise, *, twice=False):
        return torch.full((self.number,), float(self.numbers.pop(0)))


def test_a_draw_is_taken_with_its_share_of_the_probability():
    ones = torch.ones(20_000)
    for probability, share in ((0.5, 1.0), (0.8, 0.5), (0.0, 1.0)):
        taken = draws(20_000, probability).where(share, ones, 0).mean().item()
        assert taken == pytest.approx(probability * share, abs=0.015)
    draw = draws(20_000, 0.64)
    first, second = (draw.where(1.0, ones, 0, twice=True) for _ in range(2))
    assert first.mean().item() == pytest.approx(1 - 0.6, abs=0.015)
    assert torch.maximum(first, second).mean().item() == pytest.approx(0.64, abs=0.015)


def test_factors_are_lognormal_in_octaves():
    logs = draws(50_000).octaves(0.5).log2()
    assert logs.mean().item() == pytest.approx(0, abs=0.02)
    assert logs.std().item() == pytest.approx(0.5, rel=0.02)


def test_places_beyond_the_borders_are_mirrored_for_ever():
    line = mirrored(torch.arange(-6.0, 9), 3)
    assert line.tolist() == [0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2]
    assert mirrored(torch.tensor([0.25, -0.75, 2.75, 2.25]), 3).tolist() == [0.25, -0.25, 2.25, 2.25]


def test_bilinear_values_are_those_of_grid_sample():
    images = torch.randn(3, 2, 5, 7, dtype=torch.float64)
    x, y = (torch.rand(3, 4, 6, dtype=torch.float64) * 30 - 12 for _ in range(2))
    grid = torch.stack([(2 * x + 1) / 7 - 1, (2 * y + 1) / 5 - 1], dim=-1)
    expected = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(resampled(images, x, y), expected)


def test_maps_are_composed_from_the_outside_in():
    one, two = torch.ones(1), torch.full((1,), 2.0)
    source = Affine(1)
    source.after(two, 0 * one, 0 * one, one)  # x ↦ 2x
    source.after_shift(3 * one, 5 * one)  # before that: x + 3
    source.after_turn(one * math.pi / 2)  # before that: (x, y) ↦ (-y, x)
    x, y = source(torch.full((1, 1, 1), 7.0), torch.full((1, 1, 1), 11.0))
    assert x.item() == pytest.approx(2 * (-11 + 3), abs=1e-5)
    assert y.item() == pytest.approx(7 + 5, abs=1e-5)


def test_blits_move_whole_pixels():
    images = torch.randn(1000, 1, 8, 8)
    out = moved(images, draws(1000), 1.0, 0.0)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")  # one pixel mirrored; an eighth of 8 is the largest shift
    counts = []
    for upright in (padded, padded.flip(3)):
        for quarters in range(4):
            turned = torch.rot90(upright, quarters, (2, 3)).unfold(2, 8, 1).unfold(3, 8, 1)
            counts.append((turned == out[:, :, None, None]).flatten(4).all(4).sum((0, 1)))
    counts = torch.stack(counts)
    assert counts.sum() == 1000  # each is one of these, to the bit
    assert counts.flatten(1).sum(1).min() > 90  # all eight ways equally often
    # Of U(-1, 1), rounded, half is 0 and a quarter each of the others.
    torch.testing.assert_close(
        counts.sum(0) / 1000, torch.outer(*[torch.tensor([0.25, 0.5, 0.25])] * 2), atol=0.04, rtol=0
    )


def test_geometry_is_the_papers_on_a_linear_ramp():
    # On a ramp, linear interpolation is exact: away from the borders the result says where each pixel came from.
    side = 65
    x = torch.arange(side, dtype=torch.float32).expand(1, 1, side, side) - 32
    ramps = torch.cat([x, x.transpose(2, 3)], dim=1)
    size, first, stretch, second, shifted = 1.25, 0.3, 0.8, -0.5, 0.0
    out = moved(ramps, Told(1, size, first, stretch, second, shifted), 0.0, 1.0)
    turn = lambda angle: torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])  # noqa: E731
    # The image is scaled, turned, stretched, turned; a pixel of the result comes from the inverse of that.
    forward = turn(second).T @ torch.diag(torch.tensor([stretch, 1 / stretch])) @ turn(first).T * size
    for place in ((0, 0), (6, -3), (-8, 5)):
        source = torch.linalg.solve(forward, torch.tensor(place, dtype=torch.float32))
        found = out[0, :, 32 + place[1], 32 + place[0]]
        torch.testing.assert_close(found, source, atol=1e-4, rtol=1e-4)


class OnlyShifts(Draws):
    """Lets nothing happen but shifts, which are drawn as ones that something may set to zero."""

    def where(self, share, values, otherwise, *, twice=False):
        return values if bool((values == 1).all()) else torch.full_like(values, float(otherwise))


def test_shifts_have_the_papers_deviations():
    ramp = torch.arange(200.0).expand(1000, 1, 4, 200) - 100
    draw = OnlyShifts(1000, torch.tensor(1.0), torch.Generator().manual_seed(0), torch.float32)
    whole = moved(ramp, draw, 1.0, 0.0)[:, 0, 0, 100]
    assert torch.equal(whole, whole.round())
    assert whole.abs().max() == 25
    assert whole.std().item() == pytest.approx(50 / math.sqrt(12), rel=0.05)
    fraction = moved(ramp, draw, 0.0, 1.0)[:, 0, 0, 100]
    assert fraction.std().item() == pytest.approx(25, rel=0.06)


def test_colours_are_the_papers_matrices():
    brightness, contrast, inverted, angle, saturation = 0.3, 1.7, 1.0, 0.9, 0.4
    images = torch.rand(2, 3, 4, 5) * 2 - 1
    told = Told(2, brightness / transforms.BRIGHTNESS, contrast, inverted, angle, saturation)
    axis = torch.full((3, 1), 3**-0.5)
    along, eye = axis @ axis.T, torch.eye(3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    hue = math.cos(angle) * eye + math.sin(angle) * cross + (1 - math.cos(angle)) * along
    matrix = (along + saturation * (eye - along)) @ hue @ (eye - 2 * along)
    expected = torch.einsum("ij,njhw->nihw", matrix, contrast * (images + brightness))
    torch.testing.assert_close(recoloured(images, told, 1.0), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_other_channels_keep_their_hue(channels):
    images = torch.rand(2, channels, 4, 5) * 2 - 1
    out = recoloured(images, Told(2, 0.5, 2.0, 1.0, 1.3, 0.25), 1.0)
    images = 2 * (images + 0.1)
    mean = images.mean(1, keepdim=True)
    torch.testing.assert_close(out, -mean + 0.25 * (images - mean))


def test_the_octaves_add_up_to_the_image_and_pass_their_own():
    kernels = octaves()
    assert kernels.shape == (4, 43)
    assert kernels.dtype == torch.float64
    identity = torch.zeros(43, dtype=torch.float64)
    identity[21] = 1
    torch.testing.assert_close(kernels.sum(0), identity)
    torch.testing.assert_close(kernels, kernels.flip(1))
    frequencies = torch.fft.rfft(kernels, 4096).abs()
    for band, (low, high) in enumerate([(0, 1 / 8), (1 / 8, 1 / 4), (1 / 4, 1 / 2), (1 / 2, 1)]):
        middle = int((low + high) / 2 * 2048)
        assert frequencies[:, middle].argmax() == band
    assert frequencies[0, 0].item() == pytest.approx(1)
    assert frequencies[3, 2048].item() == pytest.approx(1)


def test_filtering_changes_one_wave_by_its_bands_gain():
    factor = 3.0
    wave = torch.cos(math.pi * torch.arange(32)).expand(1, 1, 8, 32)  # the highest frequency, across only
    told = Told(1, 1, 1, 1, factor)
    out = filtered(wave, told, 1.0, octaves())
    gain = math.sqrt(1 / (1 + (factor**2 - 1) / 13))
    # Across it lies in the band made stronger, down it is constant: the lowest band, changed by the normalisation only.
    torch.testing.assert_close(out[..., 12:20], (factor * gain) * gain * wave[..., 12:20], atol=1e-4, rtol=1e-4)


def test_filtering_takes_images_smaller_than_its_kernel():
    images = torch.randn(3, 2, 4, 1)
    torch.testing.assert_close(filtered(images, Told(3, 1, 1, 1, 1), 1.0, octaves()), images)
    assert filtered(images, draws(3), 1.0, octaves()).isfinite().all()


def test_noise_has_a_deviation_for_each_image():
    out = noised(torch.zeros(2000, 1, 16, 16), draws(2000), 1.0)
    deviations = out.flatten(1).std(1)
    assert deviations.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.06)
    assert not torch.equal(out[0], out[1])


def test_cutout_clears_half_of_each_side():
    out = cut_out(torch.ones(300, 2, 16, 24), draws(300), 1.0)
    cut = out[:, 0] == 0
    assert torch.equal(cut, out[:, 1] == 0)
    rows, columns = cut.any(2).sum(1), cut.any(1).sum(1)
    assert torch.equal(cut.sum((1, 2)), rows * columns)
    assert (rows.max(), columns.max()) == (8, 12)
    assert rows.min() >= 3  # a centre on the border leaves half of the box
