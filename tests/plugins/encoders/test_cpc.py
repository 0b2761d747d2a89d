"""Contrastive predictive coding: the grid, the causality of the context, the loss."""

import math

import pytest
import torch

from ganvas_plugins.encoders.cpc import Cpc, info_nce


def test_identical_targets_and_perfect_predictions():
    assert info_nce(torch.randn(5, 3), torch.ones(5, 3)).item() == pytest.approx(math.log(5), abs=1e-5)
    z = torch.eye(4)
    assert info_nce(z * 3, z).item() == pytest.approx(math.log(1 + 3 * math.exp(-3)), abs=1e-5)


def test_equals_the_papers_sum():
    p, z = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = 0.0
    for i in range(4):
        scores = [math.exp(float(p[i] @ z[j])) for j in range(4)]
        total -= math.log(scores[i] / sum(scores)) / 4
    assert info_nce(p, z).item() == pytest.approx(total, rel=1e-9)


def test_the_grid_is_of_overlapping_patches(flat, data):
    encoder = Cpc(flat(16), data((1, 8, 8)))
    assert (encoder.patch, encoder.stride, encoder.columns) == (4, 2, 3)
    images = torch.randn(2, 1, 8, 8)
    grid = encoder.grid(images)
    assert grid.shape == (2, 16, 3, 3)
    torch.testing.assert_close(grid[:, :, 1, 2], encoder.backbone(images[:, :, 2:6, 4:8]))
    torch.testing.assert_close(encoder.encode(images), grid.mean((2, 3)))


@pytest.mark.parametrize(
    ("shape", "options", "grid"),
    [
        ((3, 256, 256), {}, (64, 32, 7, 7)),
        ((1, 28, 28), {}, (14, 7, 3, 3)),
        ((3, 218, 178), {}, (44, 22, 8, 7)),
        ((3, 4, 6), {"patch": 2, "stride": 2}, (2, 2, 2, 3)),
    ],
)
def test_sizes(flat, data, shape, options, grid):
    with torch.device("meta"):
        encoder = Cpc(flat(shape[0] * grid[0] ** 2), data(shape), **options)
        assert (encoder.patch, encoder.stride) == grid[:2]
        assert encoder.grid(torch.empty(1, *shape)).shape[2:] == grid[2:]
    assert encoder.columns == grid[3]
    assert len(encoder.predictors) == min(5, grid[2] - 1)


def test_what_the_grid_leaves_is_cut_off_evenly(flat, data):
    encoder = Cpc(flat(4), data((1, 5, 7)), patch=2, stride=2)
    images = torch.randn(1, 1, 5, 7)
    torch.testing.assert_close(encoder.grid(images)[0, :, 0, 0], encoder.backbone(images[:, :, 0:2, 0:2])[0])
    encoder = Cpc(flat(4), data((1, 7, 7)), patch=2, stride=3)  # two pixels too many
    images = torch.randn(1, 1, 7, 7)
    torch.testing.assert_close(encoder.grid(images)[0, :, 0, 1], encoder.backbone(images[:, :, 1:3, 4:6])[0])


def test_the_context_of_a_row_sees_no_row_below(flat, data):
    encoder = Cpc(flat(16), data((1, 8, 8)))
    grid = torch.randn(1, 16, 3, 3)
    changed = grid.clone()
    changed[:, :, 2] += 1
    before, after = encoder.context(grid), encoder.context(changed)
    torch.testing.assert_close(before[:, :, :2], after[:, :, :2])
    changed[:, :, 0] += 1
    assert not torch.allclose(encoder.context(changed)[:, :, 1], after[:, :, 1])


def test_the_objective_is_the_mean_over_the_rows_ahead(flat, data):
    torch.manual_seed(0)
    encoder = Cpc(flat(16), data((1, 8, 8)), layers=1, context=7).double()
    view = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    z = encoder.grid(view)
    c = encoder.context(z)
    losses = []
    for ahead in (1, 2):
        weight = encoder.predictors[ahead - 1].weight[:, :, 0, 0]
        places = [(n, i, j) for n in range(3) for i in range(3 - ahead) for j in range(3)]
        predictions = torch.stack([weight @ c[n, :, i, j] for n, i, j in places])
        losses.append(info_nce(predictions, torch.stack([z[n, :, i + ahead, j] for n, i, j in places])))
    terms = encoder.objective(view)
    torch.testing.assert_close(terms, {"info-nce": torch.stack(losses).mean()})
    torch.testing.assert_close(encoder.embeddings, encoder.encode(view))
    terms["info-nce"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert len(Cpc(flat(16), data((1, 8, 8)), ahead=1).predictors) == 1


def test_one_image_has_negatives_of_its_own_unless_there_is_one_column(flat, data):
    encoder = Cpc(flat(16), data((1, 8, 8)))
    encoder.check_batch(1)
    assert encoder.objective(torch.randn(1, 1, 8, 8))["info-nce"].isfinite()
    with pytest.raises(ValueError) as raised:
        Cpc(flat(16), data((1, 8, 4)), patch=4).check_batch(1)
    assert str(raised.value) == ("one column of patches of one image has no negatives; set batch_size to 2 or more")


@pytest.mark.parametrize("options", [{"patch": 7}, {"patch": 4, "stride": 5}, {"patch": 9}])
def test_patches_that_do_not_fit(flat, data, options):
    with pytest.raises(ValueError, match=r"leave fewer than two rows of an image of 8x8; try patch: 4 and no stride$"):
        Cpc(flat(), data((1, 8, 8)), **options)


def test_a_backbone_that_takes_no_such_patches(flat, data):
    with torch.device("meta"), pytest.raises(ValueError) as raised:
        Cpc(flat(64), data((1, 8, 8)))
    assert str(raised.value).startswith("the backbone cannot train on a batch of 2x1x4x4: ")
    assert str(raised.value).endswith("; set another patch, or take a backbone for images of any size")
