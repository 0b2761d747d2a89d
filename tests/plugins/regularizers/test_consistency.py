import pytest
import torch
from torch import nn

from ganvas import Augmentation, Critique
from ganvas_plugins.augmentations.none import NoAugmentation
from ganvas_plugins.regularizers.consistency import Consistency


class Brighter(Augmentation):
    """Adds a number to its images; it lets no gradient pass."""

    def __init__(self, by=0.25):
        super().__init__()
        self.by = by

    def forward(self, images, side, rng):
        return images.detach() + self.by


class Differentiable(Brighter):
    differentiable = True

    def forward(self, images, side, rng):
        return images + self.by


class Contrast(nn.Module):
    """Scores that no change of brightness alters, a map of them."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.arange(12.0))

    def forward(self, samples, condition=None):
        centred = samples.flatten(1) - samples.flatten(1).mean(1, keepdim=True)
        return Critique((centred * self.slope)[:, :, None])


def duel_of(make_duel, critic, network=None, before=None, **options):
    """``network``: the generator; ``before``: the duel's own augmentation."""
    options = {"augmentation": Brighter, **options}
    return make_duel(critic, lambda duel: Consistency(duel, **options), generator=network, augmentation=before)


def terms_of(duel, match):
    return duel.penalty(duel.regularizers[0], match)


# Twelve numbers brighter by ¼ raise the score of a linear critic of slope 1 by 3.
@pytest.mark.parametrize("patches", [1, 2])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "cr"}, {"real": 90.0}),
        ({}, {"real": 90.0, "fake": 90.0}),
        ({"real": 1.0, "fake": 2.0, "weight": 0.5}, {"real": 4.5, "fake": 9.0}),
    ],
)
def test_the_squared_difference_of_the_scores(patches, options, expected, critic, make_duel, make_match):
    duel = duel_of(make_duel, critic(torch.ones(12), patches), **options)
    terms = terms_of(duel, make_match(duel))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {f"penalty/consistency-{which}": value for which, value in expected.items()}, rel=1e-4
    )
    assert duel.regularizers[0].joins == {"discriminator"}


def test_a_discriminator_that_the_change_does_not_touch_pays_nothing(make_duel, make_match):
    duel = duel_of(make_duel, Contrast())
    assert [term.item() for term in terms_of(duel, make_match(duel)).values()] == pytest.approx([0, 0], abs=1e-8)


def test_both_scores_have_gradients(make_duel, make_match):
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.tensor(3.0))

        def forward(self, samples, condition=None):
            return Critique(self.slope * samples.flatten(1).square().sum(1))

    duel = duel_of(make_duel, Square(), method="cr", real=1.0)
    match = make_match(duel)
    terms_of(duel, match)["penalty/consistency-real"].backward()
    x = match.real.flatten(1)
    difference = (x + 0.25).square().sum(1) - x.square().sum(1)
    torch.testing.assert_close(duel.discriminator.slope.grad, 2 * 3 * difference.square().mean())


def test_what_is_changed_is_what_the_discriminator_saw(make_duel, make_match):
    """Images of 1 are brighter by 1 already, under the stage's own augmentation."""

    class Square(nn.Module):
        def forward(self, samples, condition=None):
            return Critique(samples.flatten(1).square().mean(1))

    duel = duel_of(make_duel, Square(), before=Differentiable(1.0), method="cr", real=1.0)
    match = make_match(duel)
    match._given_real = torch.ones(4, 1, 3, 4)
    assert terms_of(duel, match)["penalty/consistency-real"].item() == pytest.approx((2.25**2 - 2**2) ** 2)


@pytest.mark.parametrize("method", ["zcr", "icr"])
def test_nearby_latents_of_a_linear_generator(method, critic, linear_generator, make_duel, make_match):
    """With G(z) = w z of one latent and s = a·x, samples move by w δ and scores by (a·w) δ."""
    weight, slope = torch.arange(12.0) / 10, torch.linspace(-1, 2, 12)
    generator = linear_generator(weight[:, None])
    duel = duel_of(make_duel, critic(slope), generator, method=method, deviation=0.2, discriminator=3.0, generator=0.5)
    # The step's first numbers: the augmentation of the images draws none.
    noise = 0.2 * torch.randn(4, 1, generator=torch.Generator().manual_seed(0))
    assert duel.regularizers[0].joins == {"generator", "discriminator"}

    found = terms_of(duel, make_match(duel))
    names = ["real", "fake", "discriminator"] if method == "icr" else ["discriminator"]
    assert list(found) == [f"penalty/consistency-{name}" for name in names]
    expected = 3 * (slope @ weight) ** 2 * noise.square().mean()
    torch.testing.assert_close(found["penalty/consistency-discriminator"], expected, rtol=1e-3, atol=0)
    sum(found.values()).backward()
    assert generator.weight.grad is None
    assert duel.discriminator.slope.grad.any()

    found = terms_of(duel, make_match(duel, "generator"))
    assert list(found) == ["penalty/consistency-generator"]
    expected = -0.5 * weight.square().mean() * noise.square().mean()
    torch.testing.assert_close(found["penalty/consistency-generator"], expected, rtol=1e-3, atol=0)
    found["penalty/consistency-generator"].backward()
    torch.testing.assert_close(generator.weight.grad[:, 0], -0.5 * 2 * weight / 12 * noise.square().mean())


def test_moved_latents_keep_their_condition_and_the_stages_augmentation(
    critic, linear_generator, make_duel, make_match
):
    generator = linear_generator(torch.zeros(12, 1))
    duel = duel_of(make_duel, critic(torch.ones(12)), generator, Differentiable(1.0), method="zcr")
    match = make_match(duel, condition_fake=torch.tensor([[0.0], [10.0], [20.0], [30.0]]))
    assert match.fake.mean((1, 2, 3)).tolist() == [0, 10, 20, 30]
    assert terms_of(duel, match)["penalty/consistency-discriminator"].item() == 0


def test_a_generator_without_latents_is_refused(critic, make_duel):
    for method in ("zcr", "icr"):
        with pytest.raises(ValueError) as error:
            duel_of(make_duel, critic(torch.ones(12)), method=method)
        assert str(error.value) == (
            f"consistency with method: {method} changes the latents that samples are made from, and Linear has none; "
            "use method: bcr"
        )


def test_a_change_that_changes_nothing_is_refused(linear_generator, critic, make_duel):
    with pytest.raises(ValueError) as error:
        duel_of(make_duel, critic(torch.ones(12)), augmentation=NoAugmentation)
    assert str(error.value) == (
        "consistency compares images with changed ones, and NoAugmentation changes nothing; "
        "give it an augmentation (diffaugment, say), or use method: zcr"
    )
    # Moved latents need no augmentation.
    generator = linear_generator(torch.ones(12, 1))
    duel_of(make_duel, critic(torch.ones(12)), generator, method="zcr", augmentation=NoAugmentation)
