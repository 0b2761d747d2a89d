import pytest
import torch

from ganvas import Data, Segment
from ganvas_plugins.conditions.code import Code
from ganvas_plugins.datasets.digits import Digits


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def code(**options):
    return Code(Data(Digits()), **options)


def test_the_papers_code_for_mnist_is_the_default():
    condition = code()
    assert condition.shape == (12,)
    assert condition.segments == [Segment("one-hot", 10), Segment("continuous", 2)]
    assert condition.names == [*(f"c1={value}" for value in range(10)), "c2", "c3"]
    assert condition.numbers("continuous") == [10, 11]


def test_no_real_image_has_one():
    condition = code()
    assert condition.observed is False
    assert condition.needs == frozenset()
    assert condition.of(next(Data(Digits()).batches(4))) is None


def test_codes_are_drawn_each_on_its_own():
    drawn = code(categorical=[4, 3], continuous=2).sample(60_000, rng())
    assert drawn.shape == (60_000, 9)
    first, second, numbers = drawn.split([4, 3, 2], 1)
    assert torch.equal(first.sum(1), torch.ones(60_000))
    assert torch.equal(second.sum(1), torch.ones(60_000))
    # each of the 12 pairs of values is expected 5,000 times; chi-square with 11 degrees of freedom, one in a thousand
    pairs = torch.bincount(first.argmax(1) * 3 + second.argmax(1), minlength=12)
    assert ((pairs - 5000) ** 2 / 5000).sum() < 31.3
    assert numbers.abs().max() <= 1
    # uniform in [-1, 1]: a mean of 0 and a variance of 1/3
    assert numbers.mean(0).tolist() == pytest.approx([0, 0], abs=0.01)
    assert numbers.var(0).tolist() == pytest.approx([1 / 3] * 2, abs=0.005)
    assert abs(torch.corrcoef(drawn[:, [0, 7, 8]].T)[0, 1]) < 0.02
    assert abs(torch.corrcoef(numbers.T)[0, 1]) < 0.02


def test_continuous_codes_may_be_normal():
    drawn = code(categorical=[], continuous=3, prior="normal").sample(60_000, rng())
    assert drawn.shape == (60_000, 3)
    assert drawn.mean(0).tolist() == pytest.approx([0] * 3, abs=0.02)
    assert drawn.var(0).tolist() == pytest.approx([1] * 3, abs=0.03)
    assert (drawn.abs() > 2).float().mean().item() == pytest.approx(0.0455, abs=0.005)


def test_parse_takes_one_number_per_code_or_all_of_them():
    condition = code(categorical=[3, 2], continuous=1)
    assert condition.parse([2, 0, -0.5]).tolist() == [0, 0, 1, 1, 0, -0.5]
    assert condition.parse([1, 1]).tolist() == [0, 1, 0, 0, 1, 0]
    assert condition.parse([0, 0.5, 0.5, 0, 1, 2]).tolist() == [0, 0.5, 0.5, 0, 1, 2]
    assert code().parse(3).tolist() == code().parse([3, 0, 0.0]).tolist()
    assert code(categorical=[], continuous=2).parse([0.5, 1]).tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("options", "value", "message"),
    [
        ({}, [3, 0.5], "give one of 10 values and 2 numbers, or all 12 numbers of the code"),
        ({}, "three", "no value is called 'three'; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({}, 10, "there is no value 10; they go from 0 to 9"),
        ({}, [3, "a", 1], "give one of 10 values and 2 numbers, or all 12 numbers of the code"),
        ({"categorical": [3, 2], "continuous": 0}, 1, "give one of 3 values and one of 2 values, or all 5 numbers"),
        ({"categorical": [], "continuous": 1}, True, "give 1 number, or all 1 numbers of the code"),
    ],
)
def test_what_is_no_code_is_refused(options, value, message):
    with pytest.raises(ValueError) as caught:
        code(**options).parse(value)
    assert str(caught.value).startswith(message)


def test_a_code_of_nothing_is_refused():
    with pytest.raises(ValueError) as caught:
        code(categorical=[], continuous=0)
    assert str(caught.value) == (
        "a code of no numbers says nothing; give it categorical or continuous ones, or take none"
    )
