import math

import pytest
import torch

from ganvas import Generator, Latents, Match
from ganvas_plugins.generators.stylegan2 import StyleGan2
from ganvas_plugins.regularizers.path_length import PathLength, path_lengths


class Orthonormal(Generator):
    """Images that are a rotation of the style, times a gain: every direction is as long as any other."""

    def __init__(self, side=32, gain=1.0):
        super().__init__()
        self.side = side
        self.latents = Latents({"z": side * side})
        rotation, _ = torch.linalg.qr(torch.randn(side * side, side * side, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("rotation", rotation)
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, latents, condition=None):
        return self.synthesize(self.styles(latents, condition))

    def styles(self, latents, condition=None):
        return latents[:, None]

    def synthesize(self, styles):
        return self.gain * (styles.sum(1) @ self.rotation).unflatten(1, (1, self.side, self.side))


@pytest.fixture
def make(critic, make_duel, make_step):
    """A regularizer in a duel, and a match for it."""

    def made(generator, number=4, condition=None, **options):
        duel = make_duel(critic(torch.ones(12)), lambda duel: PathLength(duel, **options), generator=generator)
        latents = generator.latents.sample(number, torch.Generator().manual_seed(1))

        def match(index=0):
            return Match(
                "generator",
                make_step(index, number),
                duel,
                real=torch.zeros(number, 1, 3, 4),
                fake=lambda: torch.zeros(number, 1, 3, 4),
                latents=latents,
                condition_fake=condition,
            )

        return duel, duel.regularizers[0], match

    return made


def test_the_lengths_of_an_orthonormal_generator_are_those_of_the_noise(make_step):
    generator = Orthonormal(gain=3.0)
    styles = torch.randn(5, 1, 1024, requires_grad=True)
    lengths = path_lengths(generator.synthesize(styles), styles, torch.Generator().manual_seed(7))
    noise = torch.randn(5, 1, 32, 32, generator=torch.Generator().manual_seed(7)) / 32
    torch.testing.assert_close(lengths, 3 * noise.flatten(1).norm(dim=1))


def test_over_layers_the_mean_of_squares_is_taken():
    generator = Orthonormal(8)
    styles = torch.randn(2, 4, 64, requires_grad=True)
    one = path_lengths(generator.synthesize(styles[:, :1]), styles, torch.Generator())
    every = path_lengths(generator.synthesize(styles), styles, torch.Generator())
    torch.testing.assert_close(every, 2 * one)  # one layer in four has a gradient, against all four


def test_an_orthonormal_generator_comes_to_pay_nothing(make):
    _, regularizer, match = make(Orthonormal(), number=16, decay=0.2, weight=1.0)
    values = [regularizer.penalty(match(index)).item() for index in range(60)]
    assert values[0] == pytest.approx(0.8**2, rel=0.05)  # a is a fifth of the length 1
    assert regularizer.mean_length.item() == pytest.approx(1, rel=0.02)
    # The noise has 1024 numbers of deviation 1 / 32: its length varies by 1 / √2048.
    assert sum(values[40:]) / 20 == pytest.approx(1 / 2048, rel=0.5)


def test_the_mean_follows_before_the_penalty_is_taken_and_the_terms_have_the_papers_weight(make):
    duel, regularizer, match = make(Orthonormal(gain=2.0), number=4, decay=0.25)
    wanted = path_lengths_of(duel.generator, match(), 2)
    terms = duel.penalty(regularizer, match())
    mean = 0.25 * wanted.mean()
    torch.testing.assert_close(regularizer.mean_length, mean)
    torch.testing.assert_close(terms["penalty/pathlength"], 2 * 4 * (wanted - mean).square().mean())


def path_lengths_of(generator, match, number):
    styles = generator.styles(match.latents[:number]).requires_grad_(True)
    return path_lengths(generator.synthesize(styles), styles, match.step.rng).detach()


@pytest.mark.parametrize(("share", "number"), [(0.5, 2), (0.25, 1), (0.01, 1), (1.0, 4)])
def test_it_takes_a_share_of_the_batch_with_its_conditions(share, number, make):
    seen = []

    class Watched(Orthonormal):
        def styles(self, latents, condition=None):
            seen.append((len(latents), condition[:, 0].tolist()))
            return super().styles(latents, condition)

    _, regularizer, match = make(Watched(4), condition=torch.arange(4.0)[:, None], batch_share=share)
    regularizer.penalty(match())
    assert seen == [(number, list(range(number)))]


def test_the_penalty_grows_with_the_generators_gain_and_pulls_at_it(make):
    generator = Orthonormal(gain=2.0)
    _, regularizer, match = make(generator, decay=1e-9, batch_share=1.0)
    regularizer.mean_length.fill_(1.0)
    regularizer.penalty(match()).backward()
    # d/dg (g - 1)² = 2 (g - 1)
    assert generator.gain.grad.item() == pytest.approx(2, rel=0.1)


def test_it_reaches_all_of_a_style_generator_but_what_does_not_depend_on_styles(make):
    generator = StyleGan2((1, 8, 8), None, channels=4, latent=6, style=5, mapping_layers=2)
    _, regularizer, match = make(generator)
    regularizer.penalty(match()).backward()
    spared = {name for name, p in generator.named_parameters() if p.grad is None or not p.grad.any()}
    # A bias of an image adds to it whatever the style is, and noise has no strength yet.
    assert {name for name in spared if "strength" not in name} <= {"images.0.bias", "images.1.bias"}
    assert all(p.grad is None or p.grad.isfinite().all() for p in generator.parameters())


def test_it_stands_where_it_is_asked_to(make):
    duel, _, _ = make(Orthonormal(4), own_step=True)
    updates = duel.updates(lambda side, step: None)
    assert [(update.name, update.every) for update in updates] == [
        ("discriminator", 1),
        ("generator", 1),
        ("generator.pathlength", 4),
    ]


def test_its_mean_is_part_of_the_state(make):
    duel, regularizer, match = make(Orthonormal(4))
    regularizer.penalty(match())
    assert math.isfinite(duel.state_dict()["regularizers.0.mean_length"])
    assert duel.state_dict()["regularizers.0.mean_length"] > 0


def test_a_generator_without_styles_is_refused(critic, make_duel):
    with pytest.raises(ValueError) as caught:
        make_duel(critic(torch.ones(12)), lambda duel: PathLength(duel))
    assert str(caught.value) == (
        "Linear has no styles whose paths could be measured; use generator: stylegan2, or leave out path-length"
    )
