import pytest
import torch

from ganvas_plugins.conditions.one_hot import named_index, one_hot


def test_one_hot_is_torchs():
    indices = torch.tensor([2, 0, 1])
    assert torch.equal(one_hot(indices, 4), torch.nn.functional.one_hot(indices, 4).float())


@pytest.mark.parametrize(("value", "index"), [(1, 1), ("dog", 1), ("1", 2), ("0", 0)])
def test_a_name_goes_before_a_number(value, index):
    assert named_index(value, ["cat", "dog", "1"], "class") == index


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("dogg", "no class is called 'dogg'; did you mean 'dog'?"),
        ("qqq", "no class is called 'qqq'; there are cat, dog"),
        (2, "there is no class 2; they go from 0 to 1"),
        (-1, "there is no class -1; they go from 0 to 1"),
        (True, "True is no class"),
        (1.5, "1.5 is no class"),
        ([1], r"\[1\] is no class"),
    ],
)
def test_what_is_none_of_them_is_refused(value, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        named_index(value, ["cat", "dog"], "class")
