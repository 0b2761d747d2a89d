import math

import pytest
import torch
from torch import nn

from ganvas import Condition, Critique, Data, Discriminator, Generator, Latents, Segment, Step
from ganvas_plugins.algorithms.latent_conditional import LatentConditional, partners
from ganvas_plugins.regularizers.r1 import R1

FEATURES = 6
DATA = Data(
    None,
    {
        "fields": {"images": {"shape": [1, 4, 4], "dtype": "uint8", "range": [0, 255]}},
        "classes": [],
        "attributes": [],
        "fingerprint": "",
    },
)


class Draws(Generator):
    def __init__(self, shape, condition):
        super().__init__()
        self.latents = Latents({"z": 3})
        self.sample_shape = shape
        self.conditional = True
        self.layer = nn.Linear(3 + condition[0], 16)

    def forward(self, latents, condition=None):
        return self.layer(torch.cat([latents, condition], 1)).tanh().view(-1, 1, 4, 4)


class Judge(Discriminator):
    """A linear score of a couple; keeps what it has seen."""

    def __init__(self, shape, condition):
        super().__init__()
        assert (shape, condition) == ((2, 4, 4), None)
        self.layer = nn.Linear(32, 1)
        self.seen = []

    def forward(self, samples, condition=None):
        self.seen.append(samples.detach())
        return Critique(self.layer(samples.flatten(1)).squeeze(1))


class Pixels(Condition):
    """Some pixels of the image are its features."""

    shape = (FEATURES,)
    needs = frozenset({"images"})
    segments = (Segment("continuous", FEATURES),)

    def __init__(self, data):
        super().__init__()

    def of(self, batch):
        return batch["images"].flatten(1)[:, :FEATURES]

    def sample(self, number, rng):
        return torch.randn(number, FEATURES, generator=rng)


def algorithm(condition=Pixels, **options):
    return LatentConditional(DATA, generator=Draws, discriminator=Judge, condition=condition, **options)


def step(size=6):
    made = Step(
        index=0,
        size=size,
        steps=10,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(0),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )
    made.batch = {"images": torch.randn(size, 1, 4, 4, generator=torch.Generator().manual_seed(1))}
    return made


def shared(moment):
    """The same iteration, seen by the next update."""
    later = step(moment.size)
    later.shared = moment.shared
    return later


# -- partners ----------------------------------------------------------------------------------------------------------


def test_partners_of_planted_clusters_are_of_the_same_and_of_another_cluster():
    generator = torch.Generator().manual_seed(0)
    cluster = torch.arange(64) % 4
    centres = 10 * torch.eye(4).repeat(1, 5)
    features = centres[cluster] + 0.1 * torch.randn(64, 20, generator=generator)
    order = torch.randperm(64, generator=generator)
    cluster, found = cluster[order], partners(features[order])
    assert torch.equal(cluster[found.nearest], cluster)
    assert (cluster[found.farthest] != cluster).all()
    assert (found.nearest != torch.arange(64)).all()


def test_partners_of_features_without_structure_are_of_the_same_class_by_chance():
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(5, (2000,), generator=generator)
    found = partners(torch.randn(2000, 16, generator=generator))
    # a fifth, give or take three deviations of sqrt(0.2 * 0.8 / 2000)
    assert (classes[found.nearest] == classes).float().mean().item() == pytest.approx(0.2, abs=0.027)


def test_the_distance_is_the_sum_of_absolute_differences():
    # From the origin: (3, 0) is nearer than (2, 2) in l1, farther in l2.
    found = partners(torch.tensor([[0.0, 0.0], [3.0, 0.0], [2.0, 2.0], [-9.0, 9.0]]))
    assert (found.nearest[0].item(), found.farthest[0].item()) == (1, 3)
    # The same images twice are each other's nearest, none its own.
    same = partners(torch.zeros(4, 2, 3, 3))
    assert (same.nearest != torch.arange(4)).all()
    assert (same.farthest != torch.arange(4)).all()


# -- the triple coupled loss -------------------------------------------------------------------------------------------


def zero(made):
    for parameter in made.duel.discriminator.parameters():
        nn.init.zeros_(parameter)
    return made


def test_scores_of_zero_cost_log_2_times_the_weights():
    made = zero(algorithm(adversarial=0.5, same=2.0, different=3.0))
    generator, discriminator = made.updates()
    moment = step()
    assert generator.objective(moment)["adversarial"].item() == pytest.approx(-math.log(2))
    terms = {name: value.item() for name, value in discriminator.objective(shared(moment)).items()}
    assert terms == pytest.approx(
        {"adversarial": 0.5 * math.log(2), "same": 2 * math.log(2), "different": 3 * math.log(2)}
    )
    waiting = zero(algorithm(saturating=False)).updates()[0]
    assert waiting.objective(step())["adversarial"].item() == pytest.approx(math.log(2))


def test_like_and_unlike_couples_pull_the_score_in_opposite_directions():
    """At a score of zero the terms move it by -1/2 and +1/2: read off the bias, which every score contains once."""
    made = zero(algorithm())
    bias = made.duel.discriminator.layer.bias
    terms = made.updates()[1].objective(step())
    found = {name: torch.autograd.grad(term, bias, retain_graph=True)[0].item() for name, term in terms.items()}
    assert found == pytest.approx({"adversarial": 0.5, "same": -0.5, "different": 0.5})


def test_couples_are_the_nearest_beside_a_fake_the_image_and_the_farthest():
    made, moment = algorithm(), step()
    made.updates()[1].objective(moment)
    images = moment.batch["images"]
    found = partners(images.flatten(1)[:, :FEATURES])
    adversarial, same, different = made.duel.discriminator.seen
    for couples in (adversarial, same, different):
        assert torch.equal(couples[:, :1], images[found.nearest])
    assert torch.equal(same[:, 1:], images)
    assert torch.equal(different[:, 1:], images[found.farthest])
    latents = made.match("discriminator", step()).latents
    fakes = made.duel.generator(latents, images.flatten(1)[:, :FEATURES])
    torch.testing.assert_close(adversarial[:, 1:], fakes)


def test_each_step_moves_its_own_network():
    made, moment = algorithm(), step()
    generator, discriminator = made.updates()
    made.duel.discriminator.requires_grad_(False)
    sum(generator.objective(moment).values()).backward()
    assert all(p.grad.any() for p in made.duel.generator.parameters())
    assert all(p.grad is None for p in made.duel.discriminator.parameters())
    made.zero_grad()
    made.duel.discriminator.requires_grad_(True)
    sum(discriminator.objective(shared(moment)).values()).backward()
    assert all(p.grad.any() for p in made.duel.discriminator.parameters())
    assert all(p.grad is None for p in made.duel.generator.parameters())


def test_the_generator_is_first_and_partners_are_found_once():
    made = algorithm(discriminator_every=3)
    assert [(u.name, u.trains, u.every) for u in made.updates()] == [
        ("generator", ["generator"], 1),
        ("discriminator", ["discriminator"], 3),
    ]
    moment = step()
    found = made.match("generator", moment).step.shared["partners"]
    assert made.match("discriminator", shared(moment)).step.shared["partners"] is found


def test_a_regularizer_takes_the_couples():
    made = algorithm(regularizers=[lambda duel: R1(duel, weight=2.0)])
    term = made.updates()[1].objective(step())["penalty/r1"]
    # (γ / 2) |a|² of a linear critic, whatever the couples are
    slope = made.duel.discriminator.layer.weight
    assert term.item() == pytest.approx(slope.square().sum().item(), rel=1e-5)


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_previews_show_each_image_beside_samples_of_its_features():
    made = algorithm().eval()
    batch = {"images": step(20).batch["images"]}
    picture = made.previews(batch, torch.Generator().manual_seed(0))["samples"]
    rows = picture.images.view(8, 8, 1, 4, 4)
    assert picture.columns == 8
    assert torch.equal(rows[:, 0], batch["images"][:8])
    latents = made.duel.generator.latents.sample(7, torch.Generator().manual_seed(0))
    features = made.condition.of(batch)
    torch.testing.assert_close(rows[2, 1:], made.duel.generator(latents, features[2].expand(7, -1)))


def test_it_samples_like_any_gan():
    made = algorithm()
    assert made.sample(5).shape == (5, 1, 4, 4)
    one = torch.randn(FEATURES)
    torch.testing.assert_close(made.sample(5, one), made.sample(5, one.expand(5, -1)))
    assert set(made.products()) == {"generator", "discriminator"}
    assert made.needs == {"images"}


# -- mistakes ----------------------------------------------------------------------------------------------------------


class Classes(Pixels):
    segments = (Segment("one-hot", FEATURES),)


class Drawn(Pixels):
    observed = False


class Nothing(Pixels):
    shape = None
    segments = ()


@pytest.mark.parametrize("condition", [Classes, Drawn, Nothing])
def test_a_condition_without_features_is_refused(condition):
    with pytest.raises(ValueError) as caught:
        algorithm(condition)
    assert str(caught.value) == (
        "latent-conditional finds out by their features which images are alike, and this condition gives none; use "
        "condition: {use: latent, encoder: STAGE}"
    )


def test_a_batch_without_a_choice_is_refused():
    algorithm().check_batch(3)
    with pytest.raises(ValueError) as caught:
        algorithm().check_batch(2)
    assert str(caught.value) == (
        "each image looks for a like and an unlike one in its batch, and batch_size is 2; set it to 3 or more (64, say)"
    )
