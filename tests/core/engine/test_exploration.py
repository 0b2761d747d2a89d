"""Pictures of the latent space, proven on a generator that mixes its latents and its condition linearly."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from ganvas import Algorithm, Condition, Data, Latents, Sampler, Segment
from ganvas.engine.evaluation import TrainedStage

PRIOR = Latents({"noise": 20, "layer0": 3, "u": 2}, {"u": "uniform"})


class Codes(Condition):
    """A class of three, and two numbers in [-1, 1] and one in [5, 6]."""

    shape = (6,)
    segments = (Segment("one-hot", 3), Segment("continuous", 3))

    def of(self, batch):
        return None

    def sample(self, number, rng):
        classes = torch.eye(3)[torch.randint(3, (number,), generator=rng)]
        free = torch.rand(number, 3, generator=rng)
        return torch.cat([classes, 2 * free[:, :2] - 1, free[:, 2:] + 5], dim=1)

    def parse(self, value):
        if not isinstance(value, int):
            raise ValueError(f"{value!r} is no class")
        return torch.cat([torch.eye(3)[value], torch.tensor([0.0, 0.5, 5.5])])


class Class(Codes):
    shape = (3,)
    segments = (Segment("one-hot", 3),)

    def sample(self, number, rng):
        return super().sample(number, rng)[:, :3]

    def parse(self, value):
        return super().parse(value)[:3]


class Maps(Codes):
    """Conditions that are images."""

    shape = (2, 2, 2)
    segments = ()

    def sample(self, number, rng):
        return torch.rand(number, *self.shape, generator=rng)

    def parse(self, value):
        return torch.full(self.shape, float(value))


class Linear(nn.Module):
    """G(z, y) = A [z, y]; A is the identity unless ``mixed``. Row by row, so that no batch size changes a bit."""

    def __init__(self, latents: Latents, size: int, mixed: bool) -> None:
        super().__init__()
        self.latents = latents
        size += latents.size
        self.weight = nn.Parameter(torch.randn(size, size, dtype=torch.float64) if mixed else torch.eye(size))

    def forward(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        given = latents if condition is None else torch.cat([latents, condition.flatten(1)], dim=1)
        if self.weight.dtype == torch.float32:
            return given[:, None, None]
        return (given.double() @ self.weight.T)[:, None, None]


class Toy(Algorithm):
    component_name = "toy"

    def __init__(self, condition: type[Condition] | None, latents: Latents, mixed: bool) -> None:
        fields = {"images": {"shape": [1, 1, 1], "dtype": "float32", "range": [-1, 1]}}
        super().__init__(Data(None, {"fields": fields, "classes": [], "attributes": [], "fingerprint": ""}))
        self.condition = condition() if condition is not None else None
        numbers = torch.Size(condition.shape).numel() if condition is not None else 0
        self.generator = Linear(latents, numbers, mixed)

    def networks(self):
        return {"generator": self.generator}

    def products(self):
        return self.networks()

    def updates(self):
        return []

    def generate(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        assert not self.training
        return self.generator(latents, condition)

    def sample(self, number, condition, rng):
        return self.generate(*self.draw(number, condition, rng))


def staged(condition: type[Condition] | None = None, latents: Latents = PRIOR, mixed: bool = False) -> TrainedStage:
    algorithm = Toy(condition, latents, mixed)
    return TrainedStage("gan", algorithm, algorithm.data, torch.device("cpu"), seed=3)


def rows(picture) -> Tensor:
    """(rows, columns, numbers)."""
    return picture.images.flatten(1).unflatten(0, (-1, picture.columns))


# -- draw --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [None, Codes, Maps])
def test_draw_gives_what_samples_are_made_from(condition) -> None:
    stage = staged(condition)
    state = torch.random.get_rng_state()
    latents, drawn = stage.draw(600, seed=1)
    assert torch.equal(stage.generate(latents, drawn), stage.sample(600, seed=1))
    assert torch.equal(stage.sample(7, seed=1), stage.sample(600, seed=1)[:7])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (drawn is None) == (condition is None)
    assert not torch.equal(stage.draw(600)[0], latents)


# -- interpolate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [None, Codes, Maps])
def test_the_ends_are_the_two_samples_to_the_bit(condition) -> None:
    stage = staged(condition)
    samples = stage.sample(64, seed=1).flatten(1)
    picture = stage.interpolate(4, 5, seed=1)
    assert picture.images.shape == (20, 1, 1, samples.shape[1])
    assert torch.equal(rows(picture)[:, 0], samples[:4])
    assert torch.equal(rows(picture)[:, -1], samples[4:8])
    assert list(picture.rows) == [f"from sample {i} to sample {4 + i}" for i in range(4)]
    named = stage.interpolate(steps=2, start=[9, 3], end=[60], seed=1)
    assert torch.equal(rows(named), samples[torch.tensor([[9, 60], [3, 60]])])
    assert torch.equal(rows(stage.interpolate(steps=2, start=[9, 3], seed=1))[:, 1], samples[10:12])


def test_each_group_goes_its_way() -> None:
    way = rows(staged(Codes).interpolate(1, 5))[0]
    noise, layer, uniform, condition = way.split([20, 3, 2, 6], dim=1)
    for normal in (noise, layer):
        lengths = normal.norm(dim=1)
        assert torch.allclose(lengths, torch.lerp(lengths[0], lengths[-1], torch.linspace(0, 1, 5)), atol=1e-5)
    for straight in (uniform, condition):
        assert torch.allclose(straight[1:] - straight[:-1], (straight[-1] - straight[0]).expand(4, -1) / 4, atol=1e-6)


def test_only_the_condition_changes_unless_samples_to_go_to_are_named() -> None:
    stage = staged(Class)
    latents, _ = stage.draw(64)
    made = rows(stage.interpolate(2, 3, condition=0, to_condition=2))
    assert torch.equal(made[:, :, :25], latents[:2, None].expand(2, 3, -1))
    assert made[:, :, 25:].tolist() == [[[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]]] * 2
    made = rows(stage.interpolate(steps=3, start=[4], end=[5], condition=0, to_condition=2))
    assert torch.equal(made[0, [0, -1], :25], latents[4:6])
    assert made[0, :, 25:].tolist() == [[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]]
    drawn = rows(stage.interpolate(1, 2, to_condition=1))
    assert torch.equal(drawn[0, 0], stage.sample(1).flatten())
    assert drawn[0, 1, 25:].tolist() == [0, 1, 0]


def test_ways_that_there_are_not() -> None:
    refused(lambda: staged().interpolate(steps=1), "a way has 2 steps at least, its ends; not 1")
    refused(
        lambda: staged().interpolate(start=[1, 2, 3], end=[4, 5]),
        "3 samples to start from and 2 to end at; name one, or as many",
    )
    refused(lambda: staged().interpolate(start=[-1]), "there is no sample -1; they go from 0 to 99999")
    refused(lambda: staged().interpolate(start=["x"], end=[0]), "'x' is no number of a sample; they count from 0 on")
    refused(lambda: staged().interpolate(start=[]), "no sample is named; give the number of one at least, from 0 on")
    refused(lambda: staged().interpolate(to_condition=1), "the stage 'gan' has no condition")
    refused(lambda: staged(Class).interpolate(condition="a"), "'a' is no class")


# -- arithmetic --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [None, Codes, Maps])
def test_it_is_exact_for_a_linear_generator(condition) -> None:
    """G(a - b + c) = G(a) - G(b) + G(c), where each is the mean of some samples."""
    torch.manual_seed(0)
    stage = staged(condition, mixed=True)
    samples = stage.sample(64, seed=2).flatten(1)
    concepts = [[3, 7, 12], [1, 5], [60]]
    picture = stage.arithmetic([concepts[0], concepts[2]], [concepts[1]], seed=2)
    a, b, c = (samples[numbers].mean(0) for numbers in concepts)
    made = rows(picture)
    assert picture.columns == 4
    black = torch.full_like(made[0, 0], -1)
    for row, numbers in zip(made, [concepts[0], concepts[2], concepts[1]]):
        assert torch.allclose(row[: len(numbers)], samples[numbers], atol=1e-12)
        assert torch.allclose(row[-1], samples[numbers].mean(0), atol=1e-5)
        assert all(torch.equal(cell, black) for cell in row[len(numbers) : -1])
    assert torch.allclose(made[3, 0], a - b + c, atol=1e-5)
    assert len(made) == len(picture.rows) == 6
    assert list(picture.rows) == [
        "plus samples 3, 7, 12, and the mean",
        "plus sample 60, and the mean",
        "minus samples 1, 5, and the mean",
        "the result, and its neighbours",
        "more neighbours",
        "more neighbours",
    ]
    assert torch.equal(made.flatten(0, 1)[-3:], black.expand(3, -1))


def test_neighbours_lie_in_a_box_around_the_result() -> None:
    stage = staged(Class)
    made = stage.arithmetic([[0]], neighbours=500, noise=0.25, condition=1).images.flatten(1)
    near = made[2 : 2 + 501]
    assert torch.equal(near[0], stage.sample(1, condition=1).flatten())
    moved = near[1:] - near[0]
    assert moved[:, :25].abs().max() <= 0.25 + 1e-6
    assert moved[:, :25].std() == pytest.approx(0.25 / 3**0.5, rel=0.02)  # that of a uniform number
    assert moved[:, 25:].abs().max() == 0  # the condition stays
    assert stage.arithmetic([[0]], neighbours=0).rows[-1] == "the result"


def test_the_mean_of_k_has_a_kth_of_the_variance() -> None:
    stage = staged(latents=Latents({"z": 20_000}))
    for number in (1, 3, 9):
        mean = rows(stage.arithmetic([list(range(number))], neighbours=0))[0, -1]
        assert mean.var() == pytest.approx(1 / number, rel=0.03)
    # Three for each of a, b and c make latents spread like the prior's.
    result = rows(stage.arithmetic([[0, 1, 2], [6, 7, 8]], [[3, 4, 5]], neighbours=0))[3, 0]
    assert result.var() == pytest.approx(1, rel=0.03)


def test_concepts_may_be_conditions_or_have_seeds() -> None:
    stage = staged(Class)
    first = stage.draw(1)[0][0]
    picture = stage.arithmetic([{"condition": 0}, {"condition": 1}], [{"condition": 2}], neighbours=0)
    made = rows(picture)
    assert torch.allclose(made[3, 0, :25], first, atol=1e-6)
    assert made[3, 0, 25:].tolist() == [1, 1, -1]
    assert picture.rows[0] == "plus sample 0 (condition 0), and the mean"
    picture = stage.arithmetic([{"samples": [5], "seed": 8, "condition": 1}], neighbours=0)
    assert torch.equal(picture.images[0].flatten(), stage.sample(6, condition=1, seed=8)[5].flatten())
    assert picture.rows[0] == "plus sample 5 (condition 1, seed 8), and the mean"
    assert torch.equal(stage.arithmetic([4]).images, stage.arithmetic([[4]]).images)


def test_what_is_no_concept_is_told() -> None:
    refused(lambda: staged().arithmetic([]), "there is nothing to add; name the samples of a concept with plus")
    refused(lambda: staged().arithmetic([{"sampels": 3}]), "a concept has no 'sampels'; did you mean 'samples'?")
    refused(lambda: staged().arithmetic([{"seed": "a"}]), "the seed of a concept is a whole number, not 'a'")
    refused(lambda: staged().arithmetic([[]]), "no sample is named; give the number of one at least, from 0 on")
    refused(lambda: staged().arithmetic(["man"]), "'man' is no number of a sample; they count from 0 on")
    refused(lambda: staged().arithmetic([[0]], [[100_000]]), "there is no sample 100000; they go from 0 to 99999")
    refused(lambda: staged().arithmetic([[0]], noise=-1), "neighbours and noise must not be negative")


# -- traverse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [None, Codes, Maps])
def test_the_middle_column_is_the_sample_and_one_number_moves(condition) -> None:
    stage = staged(condition)
    own = stage.sample(64, seed=5)[9].flatten()
    picture = stage.traverse(sample=9, steps=7, seed=5)
    made = rows(picture)
    # The noise has 20 axes, which is too many to be shown without being named.
    axes = [20, 21, 22, 23, 24] + ([28, 29, 30] if condition is Codes else [])
    assert made.shape == (len(axes), 7, len(own))
    for row, axis in zip(made, axes):
        assert torch.equal(row[3], own)
        others = [number for number in range(len(own)) if number != axis]
        assert torch.equal(row[:, others], own[others].expand(7, -1))
        steps = row[1:, axis] - row[:-1, axis]
        assert torch.allclose(steps[:3], steps[:1].expand(3), atol=1e-6)
        assert torch.allclose(steps[3:], steps[3:4].expand(3), atol=1e-6)
    ends = [[-4, 4]] * 3 + [[-1, 1]] * 2
    assert made[:5].gather(2, torch.tensor(axes[:5]).view(5, 1, 1).expand(5, 7, 1))[:, [0, -1], 0].tolist() == ends
    assert picture.rows[0] == f"layer0, axis 0: from -4 over {own[20]:.3g} to 4"
    if condition is Codes:  # as far as 1000 drawn ones go
        assert made[5, [0, -1], 28].tolist() == pytest.approx([-1, 1], abs=0.02)
        assert made[7, [0, -1], 30].tolist() == pytest.approx([5, 6], abs=0.02)
        assert picture.rows[7].startswith("condition, axis 5: from 5 over 5.")


def test_groups_axes_and_span_are_chosen() -> None:
    stage = staged(Codes)
    picture = stage.traverse(["condition", "noise"], [4, 3], span=2, steps=3)
    made = rows(picture)
    assert [row.partition(":")[0] for row in picture.rows] == [
        "condition, axis 4",
        "condition, axis 3",
        "noise, axis 4",
        "noise, axis 3",
    ]
    for row, number in zip(made, (29, 28, 4, 3)):
        assert row[[0, -1], number].tolist() == [-2, 2]
    assert len(rows(stage.traverse(["noise"]))) == 20
    # Where all groups are large, the first axes of the first one.
    large = staged(latents=Latents({"z": 30, "w": 40}))
    assert [row.partition(":")[0] for row in large.traverse().rows] == [f"z, axis {axis}" for axis in range(16)]
    assert [row.partition(":")[0] for row in large.traverse(axes=[29]).rows] == ["z, axis 29"]


def test_what_cannot_be_traversed_is_told() -> None:
    refused(lambda: staged().traverse(["layer"]), "there is no group of latents 'layer'; did you mean 'layer0'?")
    refused(lambda: staged().traverse(["z"]), "there is no group of latents 'z'; choose from layer0, noise, u")
    refused(lambda: staged().traverse(["u"], [2]), "u has no axis 2; its axes are 0 to 1")
    refused(lambda: staged(Codes).traverse(["condition"], [0]), "condition has no axis 0; its axes are 3 to 5")
    refused(lambda: staged().traverse(["layer0"], [-1]), "layer0 has no axis -1; its axes are 0 to 2")
    refused(
        lambda: staged(Class).traverse(["condition"]),
        "the condition is a class, which has no numbers to move; "
        "interpolate goes from one class to another (condition, to_condition)",
    )
    for steps in (1, 4):
        refused(
            lambda steps=steps: staged().traverse(steps=steps),
            f"steps must be odd, 3 or more: the sample itself stands in the middle; not {steps}",
        )
    refused(lambda: staged().traverse(sample=-2), "there is no sample -2; they go from 0 to 99999")


# -- all ---------------------------------------------------------------------------------------------------------------


class Halving(Sampler):
    component_name = "halving"

    def draw(self, number, condition, rng):
        latents, condition = self.stage.algorithm.draw(number, condition, rng)
        return latents / 2, condition

    def sample(self, number, condition, rng):
        return self.stage.algorithm.generate(*self.draw(number, condition, rng))


class Silent(Sampler):
    component_name = "silent"

    def sample(self, number, condition, rng):
        return self.stage.algorithm.sample(number, condition, rng)


def test_a_sampler_draws_the_samples() -> None:
    stage = staged(Codes)
    sampler = Halving(stage)
    samples = stage.sample(64, seed=1, sampler=sampler).flatten(1)
    assert torch.equal(samples[:, :25], stage.sample(64, seed=1).flatten(1)[:, :25] / 2)
    assert torch.equal(rows(stage.interpolate(3, seed=1, sampler=sampler))[:, 0], samples[:3])
    assert torch.equal(stage.arithmetic([[4]], seed=1, sampler=sampler).images[0].flatten(), samples[4])
    assert torch.equal(rows(stage.traverse(sample=6, seed=1, sampler=sampler))[0, 4], samples[6])


def test_what_has_no_latents_is_told() -> None:
    stage = staged()
    text = "the sampler 'silent' does not tell the latents of its samples (it offers no draw); leave it out"
    refused(lambda: stage.interpolate(sampler=Silent(stage)), text)
    other = Algorithm(stage.data)
    other.component_name = "classifier"  # type: ignore[assignment]
    without = TrainedStage("attributes", other, stage.data, torch.device("cpu"), seed=0)
    text = "the stage 'attributes' (classifier) has no generator with latents; choose a stage that has one"
    for look in (without.interpolate, without.traverse, lambda: without.arithmetic([0]), lambda: without.draw(1)):
        refused(look, text)


def refused(look, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        look()
