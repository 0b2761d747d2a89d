"""Path lengths in closed form: of linear and square generators, and of ways on a sphere."""

import copy
import math

import numpy as np
import pytest
import torch

from ganvas import Data, Extractor, Generator, Latents
from ganvas.engine.evaluation import TrainedStage
from ganvas.testing import doubles
from ganvas_plugins.extractors.random import RandomExtractor
from ganvas_plugins.generators.dcgan import DcganGenerator
from ganvas_plugins.metrics.perceptual_path_length import PerceptualPathLength, trimmed_mean, without_tf32
from ganvas_plugins.samplers.truncation import Truncation

SHAPE = (1, 4, 4)


def matrix(rows, columns, seed):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) / 10


class Linear(Generator):
    """Styles A z, samples B w (and what the condition adds)."""

    def __init__(self, prior, condition=None):
        super().__init__()
        self.latents, self.sample_shape, self.conditional = (
            Latents({"z": 5}, {"z": prior}),
            SHAPE,
            condition is not None,
        )
        self.register_buffer("first", matrix(5, 3, 0))
        self.register_buffer("second", matrix(3, 16, 1))
        self.given = []

    def forward(self, latents, condition=None):
        self.given.append((latents, condition))
        return self.synthesize(self.styles(latents, condition))

    def styles(self, latents, condition=None):
        return (latents @ self.first)[:, None]

    def synthesize(self, styles):
        return (styles[:, 0] @ self.second).unflatten(1, SHAPE)


class Squares(Generator):
    """One number, squared; it has no styles."""

    def __init__(self, prior="uniform"):
        super().__init__()
        self.latents, self.sample_shape = Latents({"z": 1}, {"z": prior}), SHAPE

    def forward(self, latents, condition=None):
        return latents.square()[:, :, None, None].expand(-1, *SHAPE) / 4


class Projection(Extractor):
    """A linear map of the pixels."""

    name, features = "projection", 7

    def forward(self, images):
        return images.flatten(1) @ matrix(16, 7, 2).to(images)


@pytest.fixture
def stage_of():
    def make(generator, condition=None, strength=None):
        data = Data(doubles.Dataset(shape=generator.sample_shape))
        arena = doubles.arena(data, condition, generator=generator)
        stage = TrainedStage("gan", arena.eval(), data, torch.device("cpu"), seed=0)
        stage.sampler = None if strength is None else Truncation(stage, strength=strength)
        return stage

    return make


def measured(stage, extractor=Projection, **options):
    metric = PerceptualPathLength(stage.data, extractor=extractor, **options)
    (found,) = metric.measure(stage).items()
    assert found[1].better == "lower"
    space, sampling = options.get("space", "z"), options.get("sampling", "full")
    assert found[0] == f"perceptual-path-length@{metric.extractor.name}.{space}-{sampling}"
    return found[1].value


def pairs(stage, number, seed=0):
    """The latents that the metric draws: blocks of two ends."""
    rng = torch.Generator().manual_seed(seed)
    begins, ends = [], []
    for start in range(0, number, 32):
        few = min(32, number - start)
        first, second = stage.algorithm.draw(2 * few, None, rng)[0].split(few)
        torch.rand(few, 1, generator=rng)
        begins.append(first)
        ends.append(second)
    return torch.cat(begins).double(), torch.cat(ends).double()


@pytest.mark.parametrize("sampling", ["full", "end"])
@pytest.mark.parametrize(("prior", "space"), [("uniform", "z"), ("normal", "w")])
def test_straight_ways_through_linear_maps(stage_of, prior, space, sampling):
    """|A (b - a)|^2, wherever on the way."""
    generator = Linear(prior)
    stage = stage_of(generator)
    begins, ends = pairs(stage, 70, seed=3)
    whole = generator.first.double() @ generator.second.double() @ matrix(16, 7, 2).double()
    lengths = ((ends - begins) @ whole).square().sum(1)
    options = {"samples": 70, "space": space, "sampling": sampling, "seed": 3}
    assert measured(stage, trim=0.0, **options) == pytest.approx(float(lengths.mean()), rel=1e-3)
    # A linear map has no second derivative: a long step gives the same, and what float32 rounds is nothing beside it.
    exact = measured(stage, trim=0.0, epsilon=0.1, **options)
    assert exact == pytest.approx(float(lengths.mean()), rel=1e-5)
    kept = lengths.sort().values[6:-6]  # of 70 the seventh from either side are the quantiles, which stay
    assert measured(stage, trim=0.1, epsilon=0.1, **options) == pytest.approx(float(kept.mean()), rel=1e-5)


def test_on_a_sphere_it_goes_at_the_speed_of_the_turning(stage_of):
    """At t = 0: (|b| - |a|) a/|a| + |a| Ω / sin Ω (b/|b| - cos Ω a/|a|)."""
    generator = Linear("normal")
    stage = stage_of(generator)
    a, b = pairs(stage, 40)
    lengths = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    cosine = (a * b).sum(1, keepdim=True) / (lengths[0] * lengths[1])
    angle = cosine.acos()
    turning = lengths[0] * angle / angle.sin() * (b / lengths[1] - cosine * a / lengths[0])
    speed = (lengths[1] - lengths[0]) * a / lengths[0] + turning
    whole = generator.first.double() @ generator.second.double() @ matrix(16, 7, 2).double()
    expected = (speed @ whole).square().sum(1).mean()
    assert measured(stage, samples=40, trim=0.0, sampling="end") == pytest.approx(float(expected), rel=2e-3)


def test_steps_are_uniform_on_the_way(stage_of):
    """For z^2 and uniform ends E[4 z^2 (b - a)^2] is 56/45 where the way starts, and 8/15 over all of it."""
    stage = stage_of(Squares())
    weights = matrix(16, 7, 2).double().sum(0).square().sum() / 16
    options = {"samples": 20_000, "trim": 0.0, "epsilon": 1e-3}
    assert measured(stage, sampling="end", **options) == pytest.approx(float(weights) * 56 / 45, rel=0.04)
    assert measured(stage, **options) == pytest.approx(float(weights) * 8 / 15, rel=0.04)


def test_what_float32_leaves_of_a_step(stage_of):
    """A convolutional generator under a convolutional extractor, against both in float64."""
    torch.manual_seed(0)
    generator = DcganGenerator((1, 16, 16), None, channels=4, latent=8).eval()
    with torch.no_grad():  # as large as after training, so that there is something to see
        for parameter in generator.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10)

    class Float64(RandomExtractor):
        def of_levels(self, values):
            return super().of_levels(values.double())

        def unrounded(self, images):
            return self.of_levels((images + 1) * 127.5)

    options = {"samples": 64, "trim": 0.0}
    single = measured(stage_of(generator), lambda: RandomExtractor(width=16, side=16), **options)

    class Exact(Generator):
        latents, sample_shape = generator.latents, generator.sample_shape

        def __init__(self):
            super().__init__()
            self.network = copy.deepcopy(generator).double()

        def forward(self, latents, condition=None):
            return self.network(latents.double())

    double = measured(stage_of(Exact()), lambda: Float64(width=16, side=16).double(), **options)
    assert single == pytest.approx(double, rel=1e-3)

    class Rounding(RandomExtractor):
        def unrounded(self, images):
            return self(images)

    # Levels that jump where the others stand still: nothing is left of the derivative.
    assert measured(stage_of(generator), lambda: Rounding(width=16, side=16), **options) > 10 * double


def test_both_ends_are_under_one_condition(stage_of):
    generator = Linear("uniform", (5,))
    stage = stage_of(generator, (5,))
    measured(stage, samples=33)
    assert [len(latents) for latents, _ in generator.given] == [64, 2]
    for latents, condition in generator.given:
        assert torch.equal(condition[::2], condition[1::2])
        assert not torch.equal(latents[::2], latents[1::2])
    assert len(generator.given[0][1].unique(dim=0)) == 5


def test_a_sampler_pulls_the_ways_together(stage_of):
    plain = measured(stage_of(Linear("uniform")), samples=40)
    half = measured(stage_of(Linear("uniform"), strength=0.5), samples=40)
    assert half == pytest.approx(plain / 4, rel=1e-3)
    nothing = measured(stage_of(Linear("uniform"), strength=0.0), samples=40)
    assert nothing == 0


def test_the_trimmed_mean_is_that_of_numpys_percentiles():
    values = torch.from_numpy(np.random.default_rng(0).gamma(1.0, size=537))
    low, high = np.percentile(values, 1, method="lower"), np.percentile(values, 99, method="higher")
    expected = np.mean([value for value in values.tolist() if low <= value <= high])
    assert trimmed_mean(values, 0.01) == pytest.approx(expected, rel=1e-12)
    assert trimmed_mean(values, 0.0) == pytest.approx(float(values.mean()), rel=1e-12)
    assert trimmed_mean(torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0]), 0.25) == 3
    assert trimmed_mean(torch.tensor([7.0]), 0.01) == 7


def test_the_protocol_and_the_seed(stage_of):
    stage = stage_of(Linear("uniform"))
    options = {"samples": 9, "space": "w", "sampling": "end", "epsilon": 1e-3, "trim": 0.1, "seed": 5}
    assert PerceptualPathLength(stage.data, extractor=Projection, **options).protocol == {
        "samples": 9,
        "space": "w",
        "sampling": "end",
        "epsilon": 1e-3,
        "trim": 0.1,
        "ways' seed": 5,
        "distance": "squared, of features of images that are not rounded",
        "extractor": "projection",
    }
    assert measured(stage, **options) == measured(stage, **options) != measured(stage, **(options | {"seed": 6}))


def test_tf32_is_as_it_was_afterwards():
    before = torch.backends.cudnn.conv.fp32_precision
    with without_tf32():
        assert torch.backends.cudnn.conv.fp32_precision == torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_refusals(stage_of):
    def refused(stage, **options):
        with pytest.raises(ValueError) as refusal:
            measured(stage, samples=4, **options)
        return str(refusal.value)

    assert refused(stage_of(Squares()), space="w") == (
        "Squares has no styles for ways in w; use space: z, or generator: stylegan2"
    )
    assert refused(stage_of(Linear("normal"), strength=0.7), space="w") == (
        "no sampler takes part in ways through w; use space: z, or leave the sampler out"
    )
    broken = Linear("normal")
    broken.second.fill_(math.inf)
    assert refused(stage_of(broken)) == (
        "4 of 4 steps have no finite length: the generator or the extractor projection diverged; use an earlier "
        "checkpoint, or another extractor"
    )
    data = Data(doubles.Dataset(shape=SHAPE))
    metric = PerceptualPathLength(data, extractor=Projection)
    with pytest.raises(ValueError) as refusal:
        metric.check(doubles.encoding(data).algorithm)
    name = type(metric).__name__
    assert str(refusal.value) == f"the metric '{name}' needs a stage that can generate; 'encoding' cannot"
