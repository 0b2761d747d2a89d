"""Samples and pictures of one duel, whatever the algorithm around it."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ganvas import Critique, Data, Discriminator, Duel, Segment
from ganvas_plugins.algorithms.one_duel import OneDuel
from ganvas_plugins.losses.non_saturating import NonSaturating

sys.path.insert(0, str(Path(__file__).parent))
from players import CLASSES, Classes, None_, Toy


class Judge(Discriminator):
    def forward(self, samples, condition=None):
        return Critique(samples.flatten(1).sum(1))


class Algorithm(OneDuel):
    def __init__(self, data, condition, generator):
        super().__init__(data)
        self.condition = condition(data)
        self.duel = Duel(Judge(), NonSaturating(), None, [], self.player(generator))

    def updates(self):
        return []


def made(condition=None_, generator=Toy):
    fields = {"images": {"shape": [1, 4, 4], "dtype": "uint8", "range": [0, 255]}}
    data = Data(None, {"fields": fields, "classes": ["a", "b", "c"], "attributes": [], "fingerprint": ""})
    return Algorithm(data, condition, generator)


def test_samples_follow_the_condition_that_is_asked_for():
    algorithm = made(Classes)
    one, rows = torch.eye(CLASSES)[1], torch.eye(CLASSES)[[1] * 300]
    images = algorithm.sample(300, one)
    assert images.shape == (300, 1, 4, 4)
    torch.testing.assert_close(images, algorithm.sample(300, rows))
    assert not torch.equal(images, algorithm.sample(300, torch.eye(CLASSES)[2]))
    drawn = algorithm.sample(300, rng=torch.Generator().manual_seed(1))
    assert torch.equal(drawn, algorithm.sample(300, rng=torch.Generator().manual_seed(1)))
    assert made().sample(3).shape == (3, 1, 4, 4)
    assert not images.requires_grad


def test_images_of_latents_are_made_in_parts_and_in_order():
    algorithm = made(Classes)
    latents, rows = torch.randn(600, 5), torch.eye(CLASSES)[torch.arange(600) % CLASSES]
    torch.testing.assert_close(algorithm.generate(latents, rows), algorithm.duel.generator(latents, rows))
    plain = made()
    torch.testing.assert_close(plain.generate(latents[:3]), plain.duel.generator(latents[:3]))


def test_previews_show_classes_across_and_an_axis_per_row():
    def generator(shape, condition):
        return Toy(shape, condition, {"noise": 20, "layer0": 2, "layer1": 3})

    pictures = made(Classes, generator).previews({}, torch.Generator().manual_seed(0))
    assert set(pictures) == {"samples", "traversal/layer0", "traversal/layer1"}
    assert (len(pictures["samples"].images), pictures["samples"].columns) == (8 * CLASSES, CLASSES)
    traversal = pictures["traversal/layer1"]
    assert (len(traversal.images), traversal.columns) == (3 * 9, 9)
    middle = traversal.images.view(3, 9, -1)[:, 4]
    assert not torch.equal(traversal.images[0], traversal.images[8])
    assert middle.shape == (3, 16)
    plain = made().previews({}, torch.Generator().manual_seed(0))
    assert list(plain) == ["samples"]
    assert len(plain["samples"].images) == 64


class Coded(None_):
    """Two categorical codes and two continuous ones."""

    observed = False
    shape = (3 + 2 + 2,)
    segments = (Segment("one-hot", 3), Segment("one-hot", 2), Segment("continuous", 2))

    def sample(self, number, rng):
        first, second = (torch.eye(n)[torch.randint(n, (number,), generator=rng)] for n in (3, 2))
        return torch.cat([first, second, 2 * torch.rand(number, 2, generator=rng) - 1], 1)


class Shows(Toy):
    """Its pictures begin with the condition."""

    def forward(self, latents, condition=None):
        return nn.functional.pad(torch.cat([condition, latents], 1), (0, 16 - 7 - 5)).view(-1, 1, 4, 4)


def test_previews_of_a_code_have_a_column_per_value_and_a_row_per_continuous_number():
    pictures = made(Coded, Shows).previews({}, torch.Generator().manual_seed(0))
    assert set(pictures) == {"samples", "traversal/code"}
    grid = pictures["samples"].images.view(8, 3, 16)
    assert pictures["samples"].columns == 3
    assert torch.equal(grid[:, :, :3], torch.eye(3).expand(8, 3, 3))
    # What the first code does not say is one draw per row: the second code, the continuous ones and the noise.
    assert torch.equal(grid[:, :, 3:12], grid[:, :1, 3:12].expand(8, 3, 9))
    assert len(grid[:, 0, 5].unique()) == 8
    rows = pictures["traversal/code"].images.view(2, 9, 16)
    assert pictures["traversal/code"].columns == 9
    moved = torch.linspace(-2, 2, 9)
    assert torch.equal(rows[0, :, 5], moved)
    assert torch.equal(rows[1, :, 6], moved)
    still = [axis for axis in range(12) if axis not in (5, 6)]
    assert torch.equal(rows[:, :, still], rows[:1, :1, still].expand(2, 9, len(still)))
    assert torch.equal(rows[0, :, 6], rows[0, :1, 6].expand(9))


def test_rows_of_previews_share_their_latents():
    algorithm = made(Classes)
    with torch.no_grad():
        algorithm.duel.generator.layer.weight[:, 5:] = 0  # deaf to the condition
    rows = algorithm.previews({}, torch.Generator().manual_seed(0))["samples"].images.view(8, CLASSES, -1)
    torch.testing.assert_close(rows, rows[:, :1].expand_as(rows))
    assert not torch.allclose(rows[0], rows[1])


def test_a_generator_that_does_not_fit_is_refused():
    with pytest.raises(ValueError) as caught:
        made(generator=lambda shape, condition: Toy((1, 8, 8), condition))
    assert str(caught.value) == "Toy makes samples of (1, 8, 8), the data are (1, 4, 4)"
    with pytest.raises(ValueError) as caught:
        made(Classes, generator=lambda shape, condition: Toy(shape, None))
    assert str(caught.value) == "Toy ignores its condition; use a conditional generator, or condition: none"


def test_needs_and_products():
    assert made(Classes).needs == {"images", "labels"}
    assert set(made().products()) == {"generator", "discriminator"}
