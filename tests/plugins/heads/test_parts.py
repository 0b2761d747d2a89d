import pytest
import torch

from ganvas_plugins.heads.parts import numbers_of, pooled


def test_pooling_is_the_mean_over_places_in_full_precision():
    maps = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(pooled(maps), maps.mean((2, 3)))
    flat = torch.randn(2, 3)
    assert torch.equal(pooled(flat), flat)
    # 4,096 ones and a 256: in bfloat16 a running sum of ones stops at 256.
    ones = torch.ones(1, 1, 4097, dtype=torch.bfloat16)
    ones[..., 0] = 256
    assert pooled(ones).dtype == torch.float32
    assert pooled(ones).item() == pytest.approx((4096 + 256) / 4097)
    assert pooled(maps.double()).dtype == torch.float64


def test_a_condition_has_as_many_numbers_as_its_shape_says():
    assert numbers_of((10,)) == 10
    assert numbers_of((2, 3)) == 6
    with pytest.raises(ValueError) as refused:
        numbers_of(None)
    assert str(refused.value) == (
        "the head needs the condition of each sample, and the discriminator is given none; "
        "give the stage a condition (labels, say) or use head: linear"
    )
