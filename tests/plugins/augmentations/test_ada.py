import json

import pytest
import torch

import ganvas
from ganvas.engine import states
from ganvas_plugins.augmentations.ada import Ada

GROUPS = ("blitting", "geometry", "color", "filtering", "noise", "cutout")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def always(**groups):
    return Ada(start=1.0, **dict.fromkeys(GROUPS, 0.0) | groups)


def test_at_first_no_bit_changes():
    images = torch.randn(5, 3, 9, 6)
    assert torch.equal(Ada()(images, "real", rng()), images)
    out = Ada(filtering=1.0, noise=1.0, cutout=1.0)(images, "fake", rng())
    torch.testing.assert_close(out, images, atol=1e-5, rtol=1e-5)  # filters that pass everything are rounded


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 6), (2, 1, 1)])
def test_each_group_changes_images_of_any_shape(group, shape):
    images = torch.randn(40, *shape)
    out = always(**{group: 1.0})(images, "real", rng())
    assert out.shape == images.shape
    assert out.isfinite().all()
    if shape[1] > 1:
        changed = (out != images).flatten(1).any(1)
        assert changed.float().mean() > 0.8
        half = always(**{group: 0.5})(images, "real", rng())
        assert (half != images).flatten(1).any(1).sum() < changed.sum() or group in ("geometry", "color", "filtering")


def test_an_image_stays_upright_with_one_minus_p():
    images = torch.randn(4000, 1, 6, 6)
    out = Ada(start=0.3, blitting=0.0, color=0.0)(images, "real", rng())
    untouched = (out == images).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx(0.7**3 * 0.7, abs=0.025)  # two sizes, a shift, both rotations


def test_an_image_does_not_depend_on_the_others():
    images = torch.randn(4, 3, 8, 8)
    other = images.clone()
    other[1:] = 0
    augmentation = Ada(start=0.8, **dict.fromkeys(GROUPS, 1.0))
    torch.testing.assert_close(augmentation(images, "real", rng())[0], augmentation(other, "real", rng())[0])


def test_it_draws_from_its_generator_only():
    images, augmentation = torch.randn(4, 1, 8, 8), Ada(start=0.8)
    state = torch.get_rng_state()
    first, again, other = (augmentation(images, "real", rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_it_is_differentiable_twice():
    images = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    augmentation = Ada(start=0.9, **dict.fromkeys(GROUPS, 1.0))
    assert Ada.differentiable
    assert torch.autograd.gradcheck(lambda x: augmentation(x, "fake", rng()), images)
    assert torch.autograd.gradgradcheck(lambda x: augmentation(x, "fake", rng()).square(), images)


def test_half_precision_is_computed_in_float32():
    images = torch.randn(6, 3, 8, 8).bfloat16()
    augmentation = Ada(start=0.9, **dict.fromkeys(GROUPS, 1.0))
    with torch.autocast("cpu", torch.bfloat16):
        out = augmentation(images, "fake", rng())
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, augmentation(images.float(), "fake", rng()).bfloat16())


SPEC = """
dataset: digits
stages:
  gan:
    use: gan
    generator: {use: dcgan, channels: 4, latent: 4}
    discriminator: {use: global, channels: 4}
    augmentation: {use: %s, every: 3, ramp: 200, start: 0.4}
    discriminator_steps: {value: 1, every: [3, 2]}
    regularizers: [{use: r1, every: 2, own_step: true}]
    steps: 8
    batch_size: 8
    log_every: 1
    checkpoint: {every: 3}
"""


@pytest.mark.parametrize("name", ["ada", pytest.param("apa", marks=pytest.mark.slow)])
def test_a_training_that_is_stopped_goes_on_with_its_probability(tmp_path, monkeypatch, name):
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC % name)
    whole = ganvas.train(spec, runs=tmp_path / "whole", device="cpu").folders["gan"]
    from ganvas.engine.batches import Batches

    draw, drawn = Batches.draw, []

    def cut_short(self, *given, **named):
        drawn.append(1)
        if len(drawn) == 7:
            raise KeyboardInterrupt
        return draw(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "draw", cut_short)
        with pytest.raises(BaseException):  # noqa: B017
            ganvas.train(spec, runs=tmp_path / "stopped", device="cpu")
    stopped = ganvas.train(spec, runs=tmp_path / "stopped", device="cpu").folders["gan"]
    one, other = (
        states.load(sorted((folder / "checkpoints").glob("[0-9]*.safetensors"))[-1])["algorithm"]
        for folder in (whole, stopped)
    )
    assert {key for key in one if key.startswith("duel.augmentation")} == {
        f"duel.augmentation.{key}" for key in ("probability", "signs", "images", "updates")
    }
    assert one["duel.augmentation.updates"] == 2  # in 8 iterations 11 updates, of which 9 led to changes
    assert all(torch.equal(one[key], other[key]) for key in one)
    lines = [[json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (whole, stopped)]
    tag = "scores/augmentation-probability"
    logged = [[line[tag] for line in run] for run in lines]
    assert logged[0] == logged[1]
    assert len(set(logged[0])) > 1
    assert logged[0][-1] == pytest.approx(one["duel.augmentation.probability"].item())
