import pytest
import torch

from ganvas_plugins.augmentations.diffaugment import DiffAugment


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def only(**options):
    return DiffAugment(**{"color": False, "translation": 0.0, "cutout": 0.0} | options)


def test_cutout_clears_one_box_per_image():
    images = torch.ones(200, 2, 16, 24)
    out = only(cutout=0.5)(images, "real", rng())
    cut = out == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    assert torch.equal(out[~cut], images[~cut])
    rows, columns = cut[:, 0].any(2).sum(1), cut[:, 0].any(1).sum(1)
    torch.testing.assert_close(cut[:, 0].sum((1, 2)), rows * columns)
    assert rows.max() == 8
    assert columns.max() == 12
    assert rows.unique().numel() > 2


def test_translation_moves_whole_images_and_fills_with_zeros():
    images = torch.randn(300, 2, 16, 24)
    out = only(translation=0.125)(images, "real", rng())
    shifts = set()
    for before, after in zip(images, out, strict=True):
        for dy in range(-2, 3):
            for dx in range(-3, 4):
                moved = torch.zeros_like(before)
                moved[:, max(0, -dy) : 16 - max(0, dy), max(0, -dx) : 24 - max(0, dx)] = before[
                    :, max(0, dy) : 16 - max(0, -dy), max(0, dx) : 24 - max(0, -dx)
                ]
                if torch.equal(moved, after):
                    shifts.add((dy, dx))
                    break
            else:
                continue
            break
        else:
            pytest.fail("not a translation")
    assert len(shifts) == 5 * 7


def test_colour_changes_brightness_saturation_and_contrast_of_each_image():
    images = torch.rand(500, 3, 4, 4) * 2 - 1
    out = only(color=True)(images, "real", rng())
    brightness = out.mean((1, 2, 3)) - images.mean((1, 2, 3))
    assert brightness.abs().max() <= 0.5 + 1e-5
    assert brightness.std().item() == pytest.approx((1 / 12) ** 0.5, rel=0.1)
    grey, grey_out = images.mean(1), out.mean(1)
    contrast = grey_out.flatten(1).std(1) / grey.flatten(1).std(1)
    assert contrast.min() >= 0.5 - 1e-4
    assert contrast.max() <= 1.5 + 1e-4
    tint = (out - grey_out[:, None]).flatten(1).norm(dim=1) / (images - grey[:, None]).flatten(1).norm(dim=1)
    saturation = tint / contrast
    assert saturation.min() >= -1e-4
    assert saturation.max() <= 2 + 1e-4
    assert saturation.mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("options", [{"color": True}, {"translation": 0.25}, {"cutout": 0.5}])
def test_an_operation_is_applied_to_whole_batches_with_its_probability(options):
    images = torch.randn(8, 3, 8, 8)
    augment, generator = only(probability=0.6, **options), rng()
    untouched = [torch.allclose(augment(images, "real", generator), images, atol=1e-5) for _ in range(300)]
    assert sum(untouched) / 300 == pytest.approx(0.4, abs=0.09)


def test_it_draws_from_its_generator_only():
    images = torch.randn(4, 1, 8, 8)
    state = torch.get_rng_state()
    first, again, other = (DiffAugment()(images, "real", rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_it_is_differentiable_twice():
    images = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert DiffAugment.differentiable
    assert torch.autograd.gradcheck(lambda x: DiffAugment()(x, "fake", rng()), images)
    assert torch.autograd.gradgradcheck(lambda x: DiffAugment()(x, "fake", rng()).square(), images)
