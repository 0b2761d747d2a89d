"""What an algorithm draws its samples from, and how pictures of any number of channels are shown."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas import Algorithm, Condition, Data, Latents, Preview
from ganvas.kinds.algorithm import visible


class Classes(Condition):
    shape = (3,)

    def of(self, batch):
        raise AssertionError("nothing is trained here")

    def sample(self, number, rng):
        return torch.eye(3)[torch.randint(3, (number,), generator=rng)]


class Drawing(Algorithm):
    """The smallest algorithm with a generator."""

    def __init__(self, condition: Condition | None) -> None:
        fields = {"images": {"shape": [1, 1, 1], "dtype": "float32", "range": [-1, 1]}}
        super().__init__(Data(None, {"fields": fields, "classes": [], "attributes": [], "fingerprint": ""}))
        self.generator = nn.Linear(1, 1)
        self.generator.latents = Latents({"z": 5, "u": 2}, {"u": "uniform"})  # type: ignore[assignment]
        self.condition = condition

    def products(self):
        return {"generator": self.generator}

    def networks(self):
        return self.products()

    def updates(self):
        return []


@pytest.mark.parametrize("number", [1, 3, 64, 65, 200])
def test_the_first_of_many_are_the_first_of_few(number: int) -> None:
    algorithm = Drawing(Classes())
    many = algorithm.draw(300, None, torch.Generator().manual_seed(0))
    few = algorithm.draw(number, None, torch.Generator().manual_seed(0))
    assert few[0].shape == (number, 7)
    for whole, part in zip(many, few, strict=True):
        assert torch.equal(whole[:number], part)
    # Under given conditions the latents are the same, and so they are without any.
    given = torch.eye(3)[[1] * number]
    latents, rows = algorithm.draw(number, given, torch.Generator().manual_seed(0))
    assert torch.equal(latents, few[0])
    assert rows is given
    latents, rows = Drawing(None).draw(number, None, torch.Generator().manual_seed(0))
    assert torch.equal(latents[:64], few[0][:64])
    assert rows is None


def test_grey_and_rgb_are_shown_as_they_are() -> None:
    for channels in (1, 3):
        images = torch.linspace(-1, 1, 2 * channels * 6).view(2, channels, 2, 3)
        assert torch.equal(visible(images), images / 2 + 0.5)
    images = torch.tensor([[[[-3.0, torch.nan], [torch.inf, 0.0]]]])
    assert visible(images).tolist() == [[[[0, 0.5], [1, 0.5]]]]


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_channels_lie_side_by_side(channels: int) -> None:
    images = torch.rand(3, channels, 4, 6) * 2 - 1
    shown = visible(images)
    assert shown.shape == (3, 1, 4, 6 * channels)
    for channel in range(channels):
        assert torch.equal(shown[:, 0, :, 6 * channel : 6 * channel + 6], images[:, channel] / 2 + 0.5)
    assert Preview(images, 2).grid().shape == (3, 2 * 5 + 1, 2 * (6 * channels + 1) + 1)


def test_the_grid_has_borders_of_one_pixel() -> None:
    grid = Preview(torch.ones(4, 1, 2, 3), 2).grid()
    rows, columns = [0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1, 1, 1, 0]
    assert grid.tolist() == [[[float(row * column) for column in columns] for row in rows]] * 3
