import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ganvas import Critique, Data, Discriminator, Scheduled, Step, Trained
from ganvas.kinds.networks import place
from ganvas_plugins.algorithms.gan import Gan
from ganvas_plugins.augmentations.none import NoAugmentation
from ganvas_plugins.losses.non_saturating import NonSaturating
from ganvas_plugins.regularizers.classification import Classification
from ganvas_plugins.regularizers.r1 import R1

sys.path.insert(0, str(Path(__file__).parent))
from players import CLASSES, Classes, None_, Toy


class Judge(Discriminator):
    def __init__(self, shape, condition):
        super().__init__()
        self.layer = nn.Linear(16, 1)

    def forward(self, samples, condition=None):
        self.seen = condition
        return Critique(self.layer(samples.flatten(1)).squeeze(1))


def data():
    fields = {
        "images": {"shape": [1, 4, 4], "dtype": "uint8", "range": [0, 255]},
        "labels": {"shape": [], "dtype": "int64", "range": [0, 2]},
    }
    return Data(None, {"fields": fields, "classes": ["a", "b", "c"], "attributes": [], "fingerprint": ""})


def gan(condition=None_, generator=Toy, **options):
    return Gan(
        data(),
        generator=generator,
        discriminator=Judge,
        loss=NonSaturating,
        condition=condition,
        augmentation=NoAugmentation,
        **options,
    )


def step(index=0, size=6, seed=0):
    made = Step(
        index=index,
        size=size,
        steps=100,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(seed),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )
    made.batch = {"images": torch.randn(size, 1, 4, 4), "labels": torch.arange(size) % CLASSES}
    return made


def test_each_side_moves_its_own_network():
    algorithm = gan()
    discriminator, generator = algorithm.updates()
    sum(discriminator.objective(step()).values()).backward()
    assert all(p.grad.any() for p in algorithm.networks()["discriminator"].parameters())
    assert all(p.grad is None for p in algorithm.networks()["generator"].parameters())
    algorithm.networks()["discriminator"].requires_grad_(False)
    sum(generator.objective(step()).values()).backward()
    assert all(p.grad.any() for p in algorithm.networks()["generator"].parameters())


def test_terms_are_the_loss_of_the_critiques():
    algorithm, moment = gan(), step()
    terms = algorithm.updates()[0].objective(moment)
    match = algorithm.match("discriminator", step())
    match._given_real = moment.batch["images"]
    expected = algorithm.duel.loss.discriminator(match.critique("real"), match.critique("fake"))
    assert set(terms) == {"adversarial"}
    torch.testing.assert_close(terms["adversarial"], expected)
    assert set(moment.logged) == {"scores/real", "scores/fake"}


def test_its_one_round_is_the_discriminators():
    algorithm = gan(Classes, generator_fakes=2)
    moment = step(seed=3)
    ((name, match),) = algorithm.matches(moment).items()
    moment.rng.manual_seed(3)
    expected = algorithm.match("discriminator", moment)
    assert (name, match.side) == ("", "discriminator")
    for which in ("real", "fake"):
        assert torch.equal(match.critique(which).scores, expected.critique(which).scores)
    assert len(match.fake) == 6


def test_latents_are_drawn_from_the_steps_generator():
    algorithm = gan()
    first, same, other = (algorithm.match("generator", step(seed=seed)).fake for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_generators_update_may_make_several_fakes_of_each_real():
    algorithm, moment = gan(Classes, generator_fakes=2, fakes="batch"), step()
    judged, made = algorithm.match("discriminator", moment), algorithm.match("generator", moment)
    assert len(judged.fake) == len(judged.real) == 6
    assert len(made.fake) == len(made.real) == 12
    assert torch.equal(made.real[6:], moment.batch["images"])
    assert torch.equal(made.condition_fake, torch.eye(CLASSES)[moment.batch["labels"]].repeat(2, 1))
    assert not torch.equal(made.latents[:6], made.latents[6:])


def test_the_generators_update_sees_the_iterations_batch_or_its_own():
    assert [update.batch for update in gan().updates()] == ["shared", "shared"]
    assert [update.batch for update in gan(batches="separate").updates()] == ["shared", "fresh"]


class Codes(Classes):
    observed = False

    def of(self, batch):
        return None


def test_a_condition_that_reals_do_not_have_is_the_generators_alone():
    class Asked(Judge):
        def __init__(self, shape, condition):
            super().__init__(shape, condition)
            self.given = condition

    algorithm = Gan(
        data(),
        generator=Toy,
        discriminator=Asked,
        loss=NonSaturating,
        condition=Codes,
        augmentation=NoAugmentation,
    )
    assert algorithm.duel.discriminator.given is None
    assert algorithm.duel.generator.conditional
    match = algorithm.match("discriminator", step())
    assert match.condition_real is None
    assert match.condition_fake.shape == (6, CLASSES)


def test_fakes_are_not_made_from_a_condition_that_reals_do_not_have():
    with pytest.raises(ValueError) as caught:
        gan(Codes, fakes="batch")
    assert str(caught.value) == "no condition of a real sample is known, to make its fake from; use fakes: sampled"


def test_updates_over_32_iterations_are_infoscc_gans():
    algorithm = gan(
        Classes,
        regularizers=[
            lambda duel: R1(duel, every=16, own_step=True),
            lambda duel: Classification(duel, classifier=Trained(nn.Linear(1, 1)), every=2),
        ],
    )
    updates = algorithm.updates()
    assert [u.name for u in updates] == ["generator.classification", "discriminator", "discriminator.r1", "generator"]
    assert [sum(index % u.every == 0 for index in range(32)) for u in updates] == [16, 32, 2, 32]


def test_the_discriminator_takes_as_many_steps_as_the_schedule_says():
    schedule = Scheduled(5, first=(25, 100), every=(500, 100))
    discriminator, generator = gan(discriminator_steps=schedule).updates()
    repeats = [Scheduled.of(discriminator.repeat).at(step(index)) for index in (0, 24, 25, 499, 500, 501)]
    assert repeats == [100, 100, 5, 5, 100, 5]
    assert generator.repeat == 1


def test_where_the_conditions_of_fakes_come_from():
    for fakes in ("sampled", "batch", "balanced"):
        algorithm = gan(Classes, fakes=fakes)
        matches = [algorithm.match("discriminator", step(seed=seed, size=7)) for seed in range(20)]
        real, made = matches[0].condition_real, torch.stack([match.condition_fake for match in matches])
        assert torch.equal(real.argmax(1), torch.arange(7) % CLASSES)
        assert torch.equal(made.sum(2), torch.ones(20, 7))
        if fakes == "batch":
            assert torch.equal(made[3], real)
        elif fakes == "balanced":
            assert set(made.sum(1).flatten().tolist()) == {2.0, 3.0}
            assert len({tuple(counts.tolist()) for counts in made.sum(1)}) == CLASSES
        else:
            assert made.sum(1).max() > 4
        matches[0].critique("fake")
        assert torch.equal(algorithm.duel.discriminator.seen, made[0])


def test_what_a_loss_owns_is_a_network_that_moves_with_the_others():
    class Learned(NonSaturating):
        trained_in = "generator"

        def __init__(self):
            super().__init__()
            self.critic = nn.Linear(2, 1)

    algorithm = Gan(
        data(),
        generator=Toy,
        discriminator=Judge,
        loss=Learned,
        condition=None_,
        augmentation=NoAugmentation,
    )
    assert list(algorithm.networks()) == ["generator", "discriminator", "loss"]
    assert [update.trains for update in algorithm.updates()] == [["discriminator"], ["generator", "loss"]]
    assert set(algorithm.products()) == {"generator", "discriminator"}
    assert "duel.loss.critic.weight" in algorithm.state_dict()
    place(algorithm, torch.device("meta"))
    assert algorithm.networks()["loss"].critic.weight.device.type == "meta"


def test_what_does_not_meet_is_refused():
    with pytest.raises(ValueError, match=r"makes samples of \(1, 8, 8\), the data are \(1, 4, 4\)"):
        gan(generator=lambda shape, condition: Toy((1, 8, 8), condition))
    with pytest.raises(ValueError, match="Toy ignores its condition"):
        gan(Classes, generator=lambda shape, condition: Toy(shape, None))
    with pytest.raises(ValueError, match="use fakes: sampled"):
        gan(fakes="balanced")


def test_needs_and_products():
    assert gan(Classes).needs == {"images", "labels"}
    products = gan().products()
    assert set(products) == {"generator", "discriminator"}
    assert all(isinstance(product, Gan.gives[name]) for name, product in products.items())
