import math

import pytest
import torch

from ganvas import Algorithm, Condition, Critique, Data, Discriminator, Generator, Latents, Segment
from ganvas.engine.evaluation import TrainedStage
from ganvas_plugins.algorithms.gan import Gan
from ganvas_plugins.augmentations.none import NoAugmentation
from ganvas_plugins.losses.hinge import Hinge
from ganvas_plugins.samplers.truncation import Truncation

CLASSES = 3


class Shows(Generator):
    """Samples whose first four pixels are the latents and whose others are the condition."""

    conditional = True
    latents = Latents({"z": 2, "u": 2}, {"u": "uniform"})
    sample_shape = (1, 1, 4 + CLASSES)

    def __init__(self, shape, condition):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, latents, condition=None):
        return self.gain * torch.cat([latents, condition], 1)[:, None, None]


class Judge(Discriminator):
    def __init__(self, shape, condition):
        super().__init__()

    def forward(self, samples, condition=None):
        return Critique(samples.flatten(1).sum(1))


class Classes(Condition):
    shape = (CLASSES,)
    segments = (Segment("one-hot", CLASSES),)

    def __init__(self, data):
        super().__init__()

    def of(self, batch):
        raise AssertionError("nothing is trained here")

    def sample(self, number, rng):
        return torch.eye(CLASSES)[torch.randint(CLASSES, (number,), generator=rng)]


@pytest.fixture
def stage():
    return trained(Shows)


def trained(generator):
    fields = {"images": {"shape": list(Shows.sample_shape), "dtype": "uint8", "range": [0, 255]}}
    data = Data(None, {"fields": fields, "classes": [], "attributes": [], "fingerprint": ""})
    algorithm = Gan(
        data, generator=generator, discriminator=Judge, loss=Hinge, condition=Classes, augmentation=NoAugmentation
    )
    return TrainedStage("gan", algorithm, data, torch.device("cpu"), seed=0)


@pytest.mark.parametrize("method", ["pull", "resample"])
def test_full_strength_is_plain_sampling_to_the_bit(stage, method):
    sampler = Truncation(stage, strength=1.0, method=method)
    for condition in (None, torch.eye(CLASSES)[torch.arange(600) % CLASSES]):
        plain = stage.sample(600, condition, seed=4)
        assert torch.equal(stage.sample(600, condition, seed=4, sampler=sampler), plain)
        assert not torch.equal(stage.sample(600, condition, seed=5, sampler=sampler), plain)
    assert plain.shape == (600, 1, 1, 4 + CLASSES)


@pytest.mark.parametrize("method", ["pull", "resample"])
def test_no_strength_leaves_one_image_per_condition(stage, method):
    rows = torch.eye(CLASSES)[torch.arange(9) % CLASSES]
    images = stage.sample(9, rows, seed=4, sampler=Truncation(stage, strength=0.0, method=method))
    assert torch.equal(images.flatten(1), torch.cat([torch.zeros(9, 4), rows], 1))


def test_the_same_latents_are_pulled(stage):
    plain, pulled = (stage.sample(9, seed=2, sampler=by) for by in (None, Truncation(stage, strength=0.7)))
    assert torch.equal(pulled[..., :4], plain[..., :4] * 0.7)
    assert torch.equal(pulled[..., 4:], plain[..., 4:])


def test_a_generator_that_truncates_otherwise_does_so_when_latents_are_pulled():
    class Styled(Shows):
        def truncated(self, latents, condition, strength):
            return self(torch.lerp(torch.full_like(latents, 5.0), latents, strength), condition)

    stage = trained(Styled)
    plain = stage.sample(9, seed=2)
    pulled = stage.sample(9, seed=2, sampler=Truncation(stage, strength=0.25))
    torch.testing.assert_close(pulled[..., :4], 5 + 0.25 * (plain[..., :4] - 5))
    whole, none = (stage.sample(9, seed=2, sampler=Truncation(stage, strength=psi)) for psi in (1.0, 0.0))
    assert torch.equal(whole, plain)
    assert (none[..., :4] == 5).all()
    drawn = stage.sample(9, seed=2, sampler=Truncation(stage, strength=0.25, method="resample"))
    assert drawn[..., :4].abs().max() < 5


@pytest.mark.parametrize("strength", [0.2, 0.7, 0.95])
def test_resampled_latents_are_those_of_the_truncated_prior(stage, strength):
    number = 100_000
    sampler = Truncation(stage, strength=strength, method="resample")
    images = stage.sample(number, seed=6, sampler=sampler).double().flatten(1)
    assert torch.equal(images, stage.sample(number, seed=6, sampler=sampler).double().flatten(1))
    bound = math.sqrt(2) * torch.erfinv(torch.tensor(strength).double()).item()
    density = math.exp(-(bound**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * bound * density / strength
    fourth = 3 * variance - 2 * bound**3 * density / strength
    normal = images[:, :2].flatten()
    assert bound * 0.999 < normal.abs().max() <= bound * (1 + 1e-6)
    assert normal.mean().abs() < 4 * math.sqrt(variance / len(normal))
    assert (normal.square().mean() - variance).abs() < 4 * math.sqrt((fourth - variance**2) / len(normal))
    inner = math.erf(bound / 2 / math.sqrt(2)) / strength  # a share that only the right density has
    assert ((normal.abs() < bound / 2).double().mean() - inner).abs() < 4 * math.sqrt(inner * (1 - inner) / len(normal))
    uniform = images[:, 2:4].flatten()
    assert uniform.abs().max() <= strength
    assert uniform.std() == pytest.approx(strength / math.sqrt(3), rel=0.01)


def test_a_stage_that_generates_nothing_is_refused(stage):
    class Other(Algorithm):
        component_name = "classifier"

    other = TrainedStage("attributes", Other(stage.data), stage.data, stage.device, seed=0)
    sampler = Truncation(other)
    sampler.component_name = "truncation"
    with pytest.raises(ValueError) as caught:
        other.sample(4, sampler=sampler)
    assert str(caught.value) == "the sampler 'truncation' needs a stage that can generate; 'classifier' cannot"


@pytest.mark.parametrize("method", ["pull", "resample"])
def test_it_tells_the_latents_of_its_samples(stage, method):
    sampler = Truncation(stage, strength=0.6, method=method)
    latents, rows = stage.draw(300, seed=4, sampler=sampler)
    assert torch.equal(sampler.generate(latents, rows), stage.sample(300, seed=4, sampler=sampler))
    plain, same = stage.draw(300, seed=4)
    assert torch.equal(rows, same)
    # What is pulled may be styles: that is a matter of making samples, not of drawing latents.
    assert torch.equal(latents, plain if method == "pull" else Shows.latents.confine(plain, 0.6))
