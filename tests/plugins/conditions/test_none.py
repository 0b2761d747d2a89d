import pytest
import torch

from ganvas import Data
from ganvas_plugins.conditions.none import NoCondition
from ganvas_plugins.datasets.digits import Digits


def test_there_is_no_condition():
    condition = NoCondition(Data(Digits()))
    assert condition.shape is None
    assert condition.of({"images": torch.zeros(2, 1, 8, 8)}) is None
    assert condition.sample(2, torch.Generator()) is None
    with pytest.raises(ValueError, match="no condition"):
        condition.parse(3)
