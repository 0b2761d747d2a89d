"""Langevin dynamics in energies whose densities, and whose every step, are known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chi2, kstest

from ganvas import Latents
from ganvas_plugins.samplers.latent_langevin import LatentLangevin

SLOPE, CURVE = 1.5, 2.0
# With D(x) = 1.5 x - x² the energy is 3 z² / 2 - 1.5 z: a normal density of mean 1/2 and variance 1/3.
MEAN, VARIANCE = SLOPE / (1 + CURVE), 1 / (1 + CURVE)


def bent(values: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    return (SLOPE * values - CURVE / 2 * values.square()).sum(1)


def moments(steps: int, size: float, decay: float = 1.0, every: int = 10**9, noise: float = 1.0) -> tuple[float, float]:
    """Mean and variance after as many steps from the standard normal: every step is linear."""
    mean, variance = 0.0, 1.0
    for step in range(steps):
        now = size * decay ** (step // every)
        keep = 1 - now / 2 / VARIANCE
        mean, variance = MEAN + keep * (mean - MEAN), keep**2 * variance + now * noise**2
    return mean, variance


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 1, "step_size": 0.3},
        {"steps": 60, "step_size": 0.3},
        {"steps": 20, "step_size": 0.2, "decay": 0.5, "decay_every": 7},
        {"steps": 40, "step_size": 0.2, "noise": 0.3},
    ],
)
def test_every_step_moves_mean_and_variance_as_the_equation_says(stage_of, options: dict) -> None:
    stage = stage_of(bent)
    number = 20_000
    images = stage.sample(number, seed=2, sampler=LatentLangevin(stage, **({"decay": 1.0} | options))).double()
    mean, variance = moments(
        options["steps"],
        options["step_size"],
        options.get("decay", 1.0),
        options.get("decay_every", 200),
        options.get("noise", 1.0),
    )
    assert images.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / number))
    assert images.var().item() == pytest.approx(variance, abs=4 * variance * math.sqrt(2 / number))


def test_small_steps_come_to_the_energys_density(stage_of) -> None:
    assert moments(10_000, 1e-3)[0] == pytest.approx(MEAN, rel=1e-5)
    assert moments(10_000, 1e-3)[1] == pytest.approx(VARIANCE, rel=1e-3)
    assert moments(10_000, 1e-3, noise=0.5)[1] == pytest.approx(VARIANCE / 4, rel=1e-3)


@pytest.mark.parametrize("noise", [1.0, 0.5])
def test_metropolis_makes_a_large_step_unbiased(stage_of, noise: float) -> None:
    stage = stage_of(bent)
    options = {"steps": 60, "step_size": 0.6, "decay": 1.0, "noise": noise}
    normal = (MEAN, math.sqrt(VARIANCE) * noise)
    plain, adjusted = (
        stage.sample(5000, seed=4, sampler=LatentLangevin(stage, metropolis=metropolis, **options)).flatten().numpy()
        for metropolis in (False, True)
    )
    assert kstest(adjusted, "norm", args=normal).pvalue > 0.001
    assert kstest(plain, "norm", args=normal).pvalue < 1e-6


def test_numbers_of_a_uniform_prior_stay_inside_and_get_the_data(stage_of) -> None:
    """With D(x) = 2 x the density over [-1, 1] is proportional to exp(2 x); a normal group beside it moves alone."""
    stage = stage_of(lambda values, condition: 2 * values[:, 0], Latents({"u": 1, "z": 1}, {"u": "uniform"}))
    sampler = LatentLangevin(stage, steps=80, step_size=0.5, decay=1.0, metropolis=True)
    images = stage.sample(5000, seed=6, sampler=sampler).flatten(1).double()
    assert images[:, 0].abs().max() <= 1
    edges = torch.linspace(-1, 1, 9, dtype=torch.float64)
    counts = torch.histogram(images[:, 0], edges).hist
    expected = (2 * edges).exp().diff()
    expected *= counts.sum() / expected.sum()
    assert ((counts - expected).square() / expected).sum() < chi2.ppf(0.999, 7)
    assert kstest(images[:, 1].numpy(), "norm").pvalue > 0.001


def test_without_noise_it_descends_from_where_plain_sampling_begins(stage_of) -> None:
    stage = stage_of(bent, Latents({"z": 2}))
    images = stage.sample(200, seed=8, sampler=LatentLangevin(stage, steps=5, step_size=0.1, noise=0.0))
    start = stage.sample(200, seed=8)
    keep = (1 - 0.05 / VARIANCE) ** 5
    assert torch.allclose(images, MEAN + keep * (start - MEAN), atol=1e-6)


def test_a_condition_stays_and_bends_the_energy(stage_of, classes) -> None:
    pull = torch.tensor([-2.0, 0.0, 2.0])
    stage = stage_of(lambda values, condition: values[:, 0] * (condition @ pull), condition=classes)
    rows = torch.eye(3)[torch.arange(6000) % 3]
    sampler = LatentLangevin(stage, steps=60, step_size=0.2, decay=1.0)
    images = stage.sample(6000, rows, seed=1, sampler=sampler)
    assert torch.equal(images[:, 0, 0, 1:], rows)
    means = [images[number::3, 0, 0, 0].mean().item() for number in range(3)]
    assert means == pytest.approx(pull.tolist(), abs=4 / math.sqrt(2000) + 0.01)
    # Nothing is left behind in the networks.
    assert all(parameter.grad is None for parameter in stage.algorithm.parameters())
    assert not images.requires_grad


def test_what_it_cannot_do_is_told(stage_of, undiscriminating) -> None:
    stage = stage_of(bent)
    said = r"^metropolis decides between random steps; give it some noise, or metropolis: false$"
    with pytest.raises(ValueError, match=said):
        LatentLangevin(stage, metropolis=True, noise=0.0)
    sampler = LatentLangevin(stage, steps=20, step_size=1e30)
    with pytest.raises(ValueError) as caught:
        stage.sample(4, sampler=sampler)
    assert (
        str(caught.value) == "some of the discriminator's scores are not finite: the latents diverged; lower step_size"
    )
    sampler = LatentLangevin(undiscriminating)
    sampler.component_name = "latent-langevin"
    with pytest.raises(ValueError) as caught:
        undiscriminating.sample(4, sampler=sampler)
    said = "the sampler 'latent-langevin' needs a stage that gives a discriminator; 'alone' gives generator"
    assert str(caught.value) == said
