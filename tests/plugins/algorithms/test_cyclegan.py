import pytest
import torch
from torch import nn

from ganvas import Critique, Data, Discriminator, Step, Translator
from ganvas_plugins.algorithms.cyclegan import CycleGan, ImagePool
from ganvas_plugins.augmentations.none import NoAugmentation
from ganvas_plugins.losses.least_squares import LeastSquares


class Affine(Translator):
    def __init__(self, shape, condition, gain=1.0, shift=0.0):
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.tensor(gain)), nn.Parameter(torch.tensor(shift))

    def forward(self, images, condition=None):
        return self.gain * images + self.shift


class Judge(Discriminator):
    def __init__(self, shape, condition):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 2)

    def forward(self, samples, condition=None):
        return Critique(self.layer(samples).squeeze(1))


def data(a=(1, 4, 4), b=(1, 4, 4)):
    fields = {
        f"{name}.images": {"shape": list(shape), "dtype": "uint8", "range": [0, 255]}
        for name, shape in {"a": a, "b": b}.items()
        if shape
    }
    return Data(None, {"fields": fields, "classes": [], "attributes": [], "fingerprint": ""})


def cyclegan(given=None, loss=lambda: LeastSquares(factor=1.0), **options):
    return CycleGan(
        data() if given is None else given,
        translator=Affine,
        discriminator=Judge,
        loss=loss,
        augmentation=NoAugmentation,
        **options,
    )


def step(seed=0, size=3):
    made = Step(
        index=0,
        size=size,
        steps=100,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(seed),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )
    generator = torch.Generator().manual_seed(seed + 100)
    made.batch = {f"{name}.images": torch.randn(size, 1, 4, 4, generator=generator) for name in "ab"}
    return made


def set_affine(translator, gain, shift):
    with torch.no_grad():
        translator.gain.fill_(gain)
        translator.shift.fill_(shift)


def test_inverse_translators_come_back_and_only_the_identity_leaves_the_target_alone():
    algorithm = cyclegan()
    set_affine(algorithm.to_b.generator, 2.0, 1.0)
    set_affine(algorithm.to_a.generator, 0.5, -0.5)
    terms = algorithm.translator_terms(step())
    assert terms["cycle-a"].item() == pytest.approx(0, abs=1e-5)
    assert terms["cycle-b"].item() == pytest.approx(0, abs=1e-5)
    assert terms["identity-a"] > 0.1
    assert terms["identity-b"] > 0.1
    terms = cyclegan().translator_terms(step())
    assert terms["identity-a"].item() == terms["identity-b"].item() == 0


def test_terms_are_weighted_mean_absolute_differences():
    algorithm, moment = cyclegan(), step()
    set_affine(algorithm.to_b.generator, 3.0, 0.0)
    terms = algorithm.translator_terms(moment)
    a, b = moment.batch["a.images"], moment.batch["b.images"]
    torch.testing.assert_close(terms["cycle-a"], 10 * (2 * a).abs().mean())
    torch.testing.assert_close(terms["identity-b"], 5 * (2 * b).abs().mean())
    judged = algorithm.to_b.discriminator(3 * a).scores
    torch.testing.assert_close(terms["adversarial-b"], (judged - 1).square().mean())


def test_swapping_the_domains_swaps_the_terms():
    one, other, moment = cyclegan(), cyclegan(), step()
    other.to_a.load_state_dict(one.to_b.state_dict())
    other.to_b.load_state_dict(one.to_a.state_dict())
    set_affine(one.to_b.generator, 1.5, 0.2)
    set_affine(other.to_a.generator, 1.5, 0.2)
    swapped = step()
    swapped.batch = {"a.images": moment.batch["b.images"], "b.images": moment.batch["a.images"]}
    terms, mirrored = one.translator_terms(moment), other.translator_terms(swapped)
    exchange = {"a": "b", "b": "a"}
    for name, term in terms.items():
        kind, domain = name.split("-")
        torch.testing.assert_close(term, mirrored[f"{kind}-{exchange[domain]}"])


def test_one_joint_update_of_the_translators_then_one_of_the_discriminators():
    algorithm, moment = cyclegan(), step()
    translators, discriminators = algorithm.updates()
    assert translators.trains == ["a_to_b", "b_to_a"]
    assert discriminators.trains == ["discriminator_a", "discriminator_b"]
    assert set(algorithm.networks()) == {*translators.trains, *discriminators.trains}

    sum(translators.objective(moment).values()).backward()
    networks = algorithm.networks()
    assert all(p.grad is not None for name in translators.trains for p in networks[name].parameters())
    algorithm.zero_grad()
    moment.rng.manual_seed(1)
    sum(discriminators.objective(moment).values()).backward()
    assert all(p.grad.any() for name in discriminators.trains for p in networks[name].parameters())
    assert all(p.grad is None for name in translators.trains for p in networks[name].parameters())
    assert {"scores/real-a", "scores/fake-b"} <= set(moment.logged)
    assert "scores/real" not in moment.logged


def test_the_discriminators_loss_is_halved():
    algorithm, moment = cyclegan(), step()
    algorithm.translator_terms(moment)
    terms = algorithm.discriminator_terms(moment)
    real = algorithm.to_a.discriminator(moment.batch["a.images"]).scores
    fake = algorithm.to_a.discriminator(moment.batch["b.images"]).scores  # the identity makes a's fakes of b's images
    expected = 0.5 * ((real - 1).square().mean() + fake.square().mean())
    torch.testing.assert_close(terms["adversarial-a"], expected)


def test_a_pool_first_fills_and_then_returns_older_images_half_of_the_time():
    pool, rng = ImagePool(50, (1, 1, 1)), torch.Generator().manual_seed(0)
    numbers = torch.arange(2050.0).view(-1, 1, 1, 1)
    returned = torch.cat([pool.exchange(image, rng) for image in numbers.split(1)]).flatten()
    numbers = numbers.flatten()
    assert torch.equal(returned[:50], numbers[:50])
    older = returned[50:] < numbers[50:]
    assert older.float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(returned[50:][~older], numbers[50:][~older])
    # nothing is lost and nothing doubled: what came in is in the pool or was returned once after the filling
    after = torch.cat([returned[50:], pool.images.flatten()]).sort().values
    assert torch.equal(after, numbers)


def test_a_batch_larger_than_what_is_left_of_the_pool():
    pool, rng = ImagePool(4, (1, 1, 1)), torch.Generator().manual_seed(0)
    first = torch.arange(3.0).view(-1, 1, 1, 1)
    assert torch.equal(pool.exchange(first, rng), first)
    returned = pool.exchange(torch.arange(3.0, 13.0).view(-1, 1, 1, 1), rng).flatten()
    assert len(returned) == 10
    assert returned[0] == 3
    assert torch.equal(returned[5:], torch.arange(8.0, 13.0))
    assert ImagePool(0, (1, 1, 1)).exchange(first, rng) is not None
    assert torch.equal(ImagePool(0, (1, 1, 1)).exchange(first, rng), first)


def test_a_saved_pool_goes_on_as_it_would_have():
    pool, copy = ImagePool(5, (1, 2, 2)), ImagePool(5, (1, 2, 2))
    pool.exchange(torch.randn(4, 1, 2, 2), torch.Generator().manual_seed(0))
    copy.load_state_dict(pool.state_dict())
    images = torch.randn(4, 1, 2, 2)
    returned = [p.exchange(images, torch.Generator().manual_seed(1)) for p in (pool, copy)]
    assert torch.equal(*returned)
    assert torch.equal(pool.images, copy.images)


def test_pooled_images_carry_no_gradient_and_the_pool_is_part_of_the_state():
    algorithm, moment = cyclegan(), step()
    algorithm.translator_terms(moment)
    algorithm.discriminator_terms(moment)
    assert not algorithm.pool_a.images.requires_grad
    assert algorithm.pool_a.filled == 3
    torch.testing.assert_close(algorithm.state_dict()["pool_a.images"][:3], moment.batch["b.images"])


def test_a_round_in_each_domain_leaves_the_pools_alone():
    algorithm = cyclegan(pool=4)
    moment = step()
    with torch.no_grad():
        algorithm.to_b.generator.gain.fill_(2.0)
        algorithm.to_a.generator.gain.fill_(3.0)
        matches = algorithm.matches(moment)
    assert list(matches) == ["a", "b"]
    a, b = (moment.batch[f"{name}.images"] for name in "ab")
    for name, real, fake in (("a", a, 3 * b), ("b", b, 2 * a)):
        assert torch.equal(matches[name].real, real)
        assert torch.equal(matches[name].fake, fake)
    judges = algorithm.to_a.discriminator, algorithm.to_b.discriminator
    for name, judge, real in (("a", judges[0], a), ("b", judges[1], b)):
        assert torch.equal(matches[name].critique("real").scores, judge(real).scores)
    assert (algorithm.pool_a.filled, algorithm.pool_b.filled) == (0, 0)


def test_losses_with_networks_of_their_own_are_trained_apart():
    class Learned(LeastSquares):
        def __init__(self):
            super().__init__()
            self.factor_ = nn.Parameter(torch.ones(()))

    built = [Learned(), Learned()]
    built[1].trained_in = "generator"
    given = iter(built)
    algorithm = cyclegan(loss=lambda: next(given))
    translators, discriminators = algorithm.updates()
    assert translators.trains == ["a_to_b", "b_to_a", "b_to_a.loss"]
    assert discriminators.trains == ["discriminator_a", "discriminator_b", "discriminator_b.loss"]
    networks = algorithm.networks()
    assert set(networks) == {*translators.trains, *discriminators.trains}
    assert [networks["discriminator_b.loss"], networks["b_to_a.loss"]] == built


def test_translation_and_previews():
    algorithm, moment = cyclegan(), step()
    set_affine(algorithm.to_b.generator, 2.0, 0.0)
    set_affine(algorithm.to_a.generator, 0.5, 0.0)
    a = moment.batch["a.images"]
    torch.testing.assert_close(algorithm.translate(a, to="b"), 2 * a)
    torch.testing.assert_close(algorithm.translate(a, to="a"), a / 2)
    picture = algorithm.previews(moment.batch, moment.rng)["a_to_b"]
    assert picture.columns == 3
    torch.testing.assert_close(picture.images[:3], torch.stack([a[0], 2 * a[0], a[0]]))


def test_domains_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match="4x4 and 4x8; give both datasets the same size"):
        cyclegan(data(b=(1, 4, 8)))
    with pytest.raises(ValueError, match="1 and 3 channels"):
        cyclegan(data(b=(3, 4, 4)))
    with pytest.raises(ValueError, match=r"no b\.images; use dataset: unpaired"):
        cyclegan(data(b=None))
