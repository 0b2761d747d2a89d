"""One round of a duel: what is computed, how often, and where gradients go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas import (
    Augmentation,
    Critique,
    Discriminator,
    Duel,
    Generated,
    Generator,
    Head,
    Loss,
    Match,
    Regularizer,
    Scheduled,
    Segment,
    Step,
    Trained,
    Update,
)


class Critic(Discriminator):
    """Counts how often it is asked."""

    layers = ("hidden",)

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1))
        self.asked: list[int] = []

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        self.asked.append(len(samples))
        hidden = self.blocks[:3](samples)
        return Critique(self.blocks[3](hidden).squeeze(1), layers={"hidden": hidden})


class Linear(Generator):
    """(N, 2) -> (N, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 4)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layer(latents if condition is None else latents + condition)


class Plain(Loss):
    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return fake.scores.mean() - real.scores.mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return -fake.scores.mean()


class Relative(Plain):
    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return functional.softplus(real.scores - fake.scores).mean()


class Slope(Regularizer):
    """Reads input gradients, as R1 does."""

    def __init__(self, duel: Duel, which: str = "real", **options: Any) -> None:
        super().__init__(duel, **options)
        self.which, self.wants = which, frozenset({which})

    def penalty(self, match: Match) -> Tensor:
        return match.gradients(self.which).flatten(1).square().sum(1).mean()


class Constant(Regularizer):
    """A term of 1 on the sides that it joins, and a note of every constraint."""

    def __init__(self, duel: Duel, joins: tuple[str, ...] = ("discriminator",), **options: Any) -> None:
        super().__init__(duel, **options)
        self.joins = frozenset(joins)  # type: ignore[arg-type]

    def penalty(self, match: Match) -> Tensor:
        return match.duel.discriminator.blocks[1].weight.sum() * 0 + 1


def make_step(index: int = 0) -> Step:
    return Step(
        index=index,
        size=3,
        steps=100,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(index),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )


def make_duel(
    *regularizers: Any, loss: Loss | None = None, augmentation: Augmentation | None = None, names: Any = None
) -> Duel:
    torch.manual_seed(0)
    return Duel(Critic(), loss or Plain(), augmentation, list(regularizers), Linear(), names)


def make_match(duel: Duel, side: Any = "discriminator", index: int = 0) -> Match:
    generator = torch.Generator().manual_seed(1)
    real, latents = torch.randn(3, 1, 2, 2, generator=generator), torch.randn(3, 2, generator=generator)
    fake = lambda: duel.generator(latents).view(3, 1, 2, 2)  # noqa: E731
    return Match(side, make_step(index), duel, real=real, fake=fake, latents=latents)


# -- laziness ----------------------------------------------------------------------------------------------------------


def test_the_discriminator_is_asked_as_often_as_needed() -> None:
    duel = make_duel()
    asked = duel.discriminator.asked
    match = make_match(duel)
    assert asked == []
    duel.terms(match)
    assert asked == [3, 3]  # fakes and reals
    match.critique("real"), match.critique("fake"), duel.terms(match)
    assert asked == [3, 3]
    asked.clear()
    duel.terms(make_match(duel, "generator"))
    assert asked == [3]  # the reals do not matter to this loss


def test_a_loss_that_compares_pays_for_the_reals_on_the_generators_side() -> None:
    duel = make_duel(loss=Relative())
    match = make_match(duel, "generator")
    terms = duel.terms(match)
    assert duel.discriminator.asked == [3, 3]
    real, fake = (duel.discriminator.blocks(samples).squeeze(1) for samples in (match.real, match.fake))
    assert terms["adversarial"].item() == pytest.approx(functional.softplus(real - fake).mean().item())


def test_the_fakes_are_made_once_and_only_when_looked_at() -> None:
    duel, made = make_duel(), []

    def make() -> Generated:
        made.append(torch.is_grad_enabled())
        return Generated(torch.ones(2, 1, 2, 2), mask=torch.zeros(2))

    for side, graph in (("discriminator", False), ("generator", True)):
        made.clear()
        match = Match(side, make_step(), duel, real=torch.ones(2, 1, 2, 2), fake=make)  # type: ignore[arg-type]
        assert match.generated is None
        assert match.real.shape == match.fake.shape == match.fake.shape
        assert match.generated.mask.tolist() == [0, 0]
        assert made == [graph]


# -- where gradients go ------------------------------------------------------------------------------------------------


def test_the_discriminators_side_gives_the_generator_no_gradient() -> None:
    duel = make_duel()
    match = make_match(duel)
    sum(duel.terms(match).values()).backward()
    assert not match.fake.requires_grad
    assert all(parameter.grad is None for parameter in duel.generator.parameters())
    # The last bias adds the same to both scores: its gradients cancel.
    assert all(parameter.grad.any() for parameter in list(duel.discriminator.parameters())[:-1])
    duel.terms(make_match(duel, "generator"))["adversarial"].backward()
    assert all(parameter.grad.any() for parameter in duel.generator.parameters())


@pytest.mark.parametrize("which", ["real", "fake"])
def test_only_where_they_are_wanted_samples_ask_for_gradients(which: str) -> None:
    plain = make_duel()
    match = make_match(plain)
    plain.terms(match)
    assert not match.real.requires_grad
    assert not match.fake.requires_grad

    duel = make_duel(lambda duel: Slope(duel, which))
    given = torch.ones(3, 1, 2, 2)
    match = make_match(duel)
    match._given_real = given
    duel.terms(match)
    samples = {"real": match.real, "fake": match.fake}
    assert samples[which].requires_grad
    assert samples[which].is_leaf
    assert not samples["fake" if which == "real" else "real"].requires_grad
    assert not given.requires_grad

    lazy = make_duel(lambda duel: Slope(duel, which, every=2))
    match = make_match(lazy, index=1)
    lazy.terms(match)
    assert not match.real.requires_grad
    assert not match.fake.requires_grad


@pytest.mark.parametrize("which", ["real", "fake"])
def test_input_gradients_share_the_forward_pass(which: str) -> None:
    duel = make_duel(lambda duel: Slope(duel, which), lambda duel: Slope(duel, which))
    match = make_match(duel)
    terms = duel.terms(match)
    assert duel.discriminator.asked == [3, 3]
    samples = (match.real if which == "real" else match.fake).detach().clone().requires_grad_(True)
    (by_hand,) = torch.autograd.grad(duel.discriminator.blocks(samples).sum(), samples, create_graph=True)
    assert torch.equal(match.gradients(which), by_hand)
    assert match.gradients(which).shape == samples.shape
    terms["penalty/slope"].backward()
    expected = torch.autograd.grad(by_hand.flatten(1).square().sum(1).mean(), duel.discriminator.blocks[1].weight)
    assert torch.allclose(duel.discriminator.blocks[1].weight.grad, expected[0])


def test_patch_scores_are_averaged_in_input_gradients() -> None:
    class Patches(Critic):
        def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
            return Critique(samples * 3)

    duel = make_duel(lambda duel: Slope(duel))
    duel.discriminator = Patches()
    match = make_match(duel)
    match.wants.add("real")
    assert torch.allclose(match.gradients("real"), torch.full((3, 1, 2, 2), 3 / 4))


def test_under_lower_precision_input_gradients_are_float32_numbers() -> None:
    for side, which in (("discriminator", "real"), ("discriminator", "fake"), ("generator", "fake")):
        duel = make_duel()
        exact, coarse = make_match(duel, side), make_match(duel, side)
        for match in (exact, coarse):
            match.wants.add(which)
        expected = exact.gradients(which)
        with torch.autocast("cpu", torch.bfloat16):
            assert coarse.critique("real").scores.dtype == torch.float32
            found = coarse.gradients(which)
            given = coarse.fake if which == "fake" else coarse.real
        assert found.dtype == torch.float32
        # The fakes themselves were made in lower precision where the generator made them.
        assert torch.allclose(found, expected, atol=1e-6 if which == "real" else 2e-2)
        assert given.requires_grad
        found.square().sum().backward()
        assert (duel.generator.layer.weight.grad is not None) == (side == "generator")
        assert duel.discriminator.blocks[1].weight.grad.any()


# -- terms -------------------------------------------------------------------------------------------------------------


def test_lazy_terms_are_rescaled_and_scheduled() -> None:
    duel = make_duel(
        lambda duel: Constant(duel, weight=2.0, every=4),
        lambda duel: Constant(duel, weight=3.0, every=2, rescale=False),
        lambda duel: Constant(duel, ("generator",), weight=Scheduled(0.0, to=10.0, over=("iterations", 10))),
        lambda duel: Constant(duel, weight=7.0, own_step=True),
    )
    found = [
        {name: value.item() for name, value in duel.terms(make_match(duel, side, index)).items() if "/" in name}
        for side in ("discriminator", "generator")
        for index in range(5)
    ]
    both = {"penalty/constant": 8.0, "penalty/constant-2": 3.0}
    assert found[:5] == [both, {}, {"penalty/constant-2": 3.0}, {}, both]
    assert found[5:] == [{"penalty/constant-3": float(index)} for index in range(5)]
    alone = duel.penalty(duel.regularizers[3], make_match(duel))
    assert {name: value.item() for name, value in alone.items()} == {"penalty/constant-4": 7.0}


def test_a_regularizer_may_give_several_terms_or_none() -> None:
    class Several(Regularizer):
        joins = frozenset({"generator", "discriminator"})

        def penalty(self, match: Match) -> dict[str, Tensor] | None:
            return {"mean": torch.tensor(1.0), "spread": torch.tensor(2.0)} if match.side == "generator" else None

    duel = make_duel(lambda duel: Several(duel, weight=0.5))
    duel.regularizers[0].component_name = "moments"
    terms = duel.terms(make_match(duel, "generator"), adversarial=lambda match: {})
    assert {name: value.item() for name, value in terms.items()} == {"penalty/mean": 0.5, "penalty/spread": 1.0}
    assert duel.terms(make_match(duel), adversarial=lambda match: {}) == {}
    assert duel.discriminator.asked == []


def test_scores_are_logged_on_the_discriminators_side() -> None:
    duel = make_duel()
    match = make_match(duel)
    duel.terms(match)
    assert match.step.logged["scores/real"].item() == match.critique("real").scores.mean().item()
    assert match.step.logged["scores/fake"].item() == match.critique("fake").scores.mean().item()
    other = make_match(duel, "generator")
    duel.terms(other)
    assert other.step.logged == {}


# -- updates -----------------------------------------------------------------------------------------------------------


def update_names(duel: Duel, **options: Any) -> list[Update]:
    return duel.updates(lambda side, step: make_match(duel, side, step.index), **options)


def test_where_steps_of_their_own_stand() -> None:
    def own(joins: str, place: str, name: str, every: int = 1) -> Any:
        def build(duel: Duel) -> Constant:
            made = Constant(duel, (joins,), own_step=True, place=place, every=every)
            made.component_name = name
            return made

        return build

    duel = make_duel(
        own("generator", "after", "g-after"),
        own("generator", "first", "g-first"),
        own("discriminator", "after", "d-after", every=16),
        own("discriminator", "before", "d-before"),
        own("generator", "before", "g-before"),
        own("discriminator", "first", "d-first"),
        own("discriminator", "after", "d-after"),
    )
    updates = update_names(duel, steps=Scheduled(5), batch="fresh")
    assert [update.name for update in updates] == [
        "discriminator.d-first",
        "generator.g-first",
        "discriminator.d-before",
        "discriminator",
        "discriminator.d-after",
        "discriminator.d-after-2",
        "generator.g-before",
        "generator",
        "generator.g-after",
    ]
    by_name = {update.name: update for update in updates}
    assert by_name["discriminator"].repeat == Scheduled(5)
    assert by_name["generator"].repeat == 1
    assert (by_name["discriminator"].batch, by_name["generator"].batch) == ("shared", "fresh")
    assert by_name["discriminator.d-after"].every == 16
    for update in updates:
        side = update.name.partition(".")[0]
        assert (update.trains, update.optimizer_name) == ([side], side)
        assert list(update.objective(make_step()))[-1].startswith("penalty/" if "." in update.name else "adversarial")


def test_the_generator_may_move_first_and_the_discriminator_seldom() -> None:
    duel = make_duel(lambda duel: Constant(duel, own_step=True))
    updates = update_names(duel, order=("generator", "discriminator"), every=3)
    assert [(update.name, update.every) for update in updates] == [
        ("generator", 1),
        ("discriminator", 3),
        ("discriminator.constant", 1),
    ]


def test_an_algorithm_may_have_adversarial_terms_of_its_own() -> None:
    asked: list[Match] = []

    def own(match: Match) -> dict[str, Tensor]:
        asked.append(match)
        return {"mine": match.critique("real").scores.mean()}

    class Looks(Constant):
        wants = frozenset({"real"})

        def penalty(self, match: Match) -> Tensor:
            assert match.real.requires_grad  # what it wants was known before the reals were judged
            return match.gradients("real").square().sum()

    duel = make_duel(lambda duel: Looks(duel))
    discriminator, generator = update_names(duel, adversarial=own)
    assert list(discriminator.objective(make_step())) == ["mine", "penalty/looks"]
    assert list(generator.objective(make_step())) == ["mine"]
    assert [match.side for match in asked] == ["discriminator", "generator"]


def test_a_duel_knows_what_its_conditions_mean() -> None:
    segments = [Segment("one-hot", 3)]
    seen: list[Any] = []
    build = lambda duel: seen.append((duel.segments, duel.observed)) or Constant(duel)  # noqa: E731
    Duel(Critic(), Plain(), None, [build], Linear(), segments=segments, observed=False)
    Duel(Critic(), Plain(), None, [build], Linear())
    assert seen == [((Segment("one-hot", 3),), False), ((), True)]


def test_a_duel_of_other_networks() -> None:
    updates = update_names(
        make_duel(lambda duel: Constant(duel, own_step=True), names={"discriminator": "judge_a", "generator": "a_to_b"})
    )
    assert [(update.name, update.trains, update.optimizer_name) for update in updates] == [
        ("judge_a", ["judge_a"], "judge_a"),
        ("judge_a.constant", ["judge_a"], "judge_a"),
        ("a_to_b", ["a_to_b"], "a_to_b"),
    ]


def test_constraints_hold_after_every_step_of_their_side() -> None:
    told: list[str] = []

    class Holds(Constant):
        def constrain(self, networks: Any) -> None:
            assert set(networks) == {"generator", "discriminator"}
            told.append("held")

    duel = make_duel(lambda duel: Holds(duel), lambda duel: Constant(duel, own_step=True))
    by_name = {update.name: update for update in update_names(duel)}
    assert by_name["generator"].after is None
    for name in ("discriminator", "discriminator.constant"):
        after = by_name[name].after
        assert after is not None
        after(make_step())
    assert told == ["held", "held"]
    assert all(update.after is None for update in update_names(make_duel()))


# -- networks of the parts' own ----------------------------------------------------------------------------------------


class Learned(Plain):
    """A loss with a network of its own, and with one that is frozen and one that is trained already."""

    def __init__(self, trained_in: Any = "discriminator") -> None:
        super().__init__()
        self.trained_in = trained_in
        self.critic = nn.Linear(4, 1)
        self.trained = Trained(nn.Linear(4, 4))


class Owns(Constant):
    def __init__(self, duel: Duel, *given: Any, trained_in: Any = "discriminator", **options: Any) -> None:
        super().__init__(duel, *given, **options)
        self.trained_in = trained_in
        self.q = nn.Linear(2, 2)


def test_what_parts_own_is_trained_in_the_update_they_name() -> None:
    both = ("generator", "discriminator")
    duel = make_duel(
        lambda duel: Constant(duel),
        lambda duel: Owns(duel),
        lambda duel: Owns(duel, ("generator",)),  # the only side it joins
        lambda duel: Owns(duel, both, trained_in="generator"),
        lambda duel: Owns(duel, both, own_step=True),
        loss=Learned(),
    )
    assert {name: sum(p.numel() for p in network.parameters()) for name, network in duel.networks().items()} == {
        "generator": 12,
        "discriminator": 49,
        "loss": 5,
        "owns": 6,
        "owns-2": 6,
        "owns-3": 6,
        "owns-4": 6,
    }
    assert {update.name: (update.trains, update.optimizer_name) for update in update_names(duel)} == {
        "discriminator": (["discriminator", "loss", "owns"], "discriminator"),
        "discriminator.owns-4": (["discriminator", "owns-4"], "discriminator"),
        "generator": (["generator", "owns-2", "owns-3"], "generator"),
        "generator.owns-4": (["generator"], "generator"),
    }
    assert duel.trains("generator") == ["generator", "owns-2", "owns-3"]
    assert [update.trains for update in update_names(make_duel(loss=Learned("generator")))] == [
        ["discriminator"],
        ["generator", "loss"],
    ]


def test_parts_of_several_duels_have_names_of_their_own() -> None:
    names = {"discriminator": "judge_a", "generator": "b_to_a"}
    duel = make_duel(lambda duel: Owns(duel, ("generator",), own_step=True), loss=Learned(), names=names)
    assert list(duel.networks()) == ["b_to_a", "judge_a", "judge_a.loss", "b_to_a.owns"]
    assert [(update.name, update.trains) for update in update_names(duel)] == [
        ("judge_a", ["judge_a", "judge_a.loss"]),
        ("b_to_a", ["b_to_a"]),
        ("b_to_a.owns", ["b_to_a", "b_to_a.owns"]),
    ]


def test_a_regularizer_called_as_a_player_takes_no_players_name() -> None:
    def build(duel: Duel) -> Owns:
        made = Owns(duel)
        made.component_name = "generator"
        return made

    duel = make_duel(build)
    assert duel.networks()["generator"] is duel.generator
    assert duel.networks()["generator-2"] is duel.regularizers[0]


def test_what_is_frozen_when_a_duel_is_built_is_not_trained() -> None:
    duel = make_duel(loss=Learned().requires_grad_(False))
    assert list(duel.networks()) == ["generator", "discriminator"]
    duel = make_duel(loss=Learned())
    duel.requires_grad_(False)  # as training does between updates
    assert list(duel.networks()) == ["generator", "discriminator", "loss"]
    assert not [name for name, _ in duel.loss.named_parameters() if name.startswith("trained")]


def test_an_augmentation_with_a_network_of_its_own() -> None:
    class Shifts(Adding):
        def __init__(self) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.zeros(()))

        def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
            return images * (1 + self.by)

    duel = make_duel(augmentation=Shifts())
    assert duel.trains("discriminator") == ["discriminator", "augmentation"]
    sum(duel.terms(make_match(duel)).values()).backward()
    assert duel.augmentation is not None
    assert duel.augmentation.by.grad != 0


def test_the_generator_learns_through_a_frozen_loss() -> None:
    class Felt(Learned):
        def generator(self, fake: Critique, real: Critique) -> Tensor:
            assert fake.samples is not None
            return self.critic(fake.samples.flatten(1)).mean()

    duel = make_duel(loss=Felt())
    duel.loss.requires_grad_(False)
    duel.discriminator.requires_grad_(False)
    match = make_match(duel, "generator")
    duel.terms(match)["adversarial"].backward()
    expected = duel.loss.critic.weight.expand(3, 4).T @ match.latents / 3
    assert torch.allclose(duel.generator.layer.weight.grad, expected)
    assert duel.loss.critic.weight.grad is None


def test_prepare_sees_both_networks_once() -> None:
    told: list[Any] = []

    class Prepares(Constant):
        def prepare(self, networks: Any) -> None:
            told.append(networks)

    duel = make_duel(lambda duel: Prepares(duel))
    assert told == [{"generator": duel.generator, "discriminator": duel.discriminator}]


# -- augmentation ------------------------------------------------------------------------------------------------------


class Adding(Augmentation):
    """Adds 1, notes the sides, and slips the first fake among the reals."""

    differentiable = True

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[str] = []
        self.observed: list[Critique] = []

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        self.sides.append(side)
        return images + 1

    def observe(self, real: Critique) -> None:
        self.observed.append(real)

    def mix(self, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        return torch.arange(len(real)) == 0


def test_everything_the_discriminator_sees_is_augmented() -> None:
    augmentation = Adding()
    duel = make_duel(augmentation=augmentation)
    match = make_match(duel)
    duel.terms(match)
    assert augmentation.sides == ["fake", "real"]
    assert augmentation.observed == [match.critique("real")]
    assert torch.equal(match.critique("fake").samples, match.fake + 1)
    assert torch.equal(match.critique("real").samples, match.real + 1)

    other = make_match(duel, "generator")
    duel.terms(other)
    assert len(augmentation.observed) == 1


def test_a_fake_that_is_slipped_in_is_a_real_for_all_and_brings_its_condition() -> None:
    duel = make_duel(Slope, augmentation=Adding())
    real, made = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    conditions = {"condition_real": torch.eye(4)[:3], "condition_fake": torch.eye(4)[[3, 3, 3]]}
    match = Match("discriminator", make_step(), duel, real=real, fake=lambda: made, **conditions)
    terms = duel.terms(match)
    assert torch.equal(match.real, torch.cat([made[:1], real[1:]]))
    assert match.condition_real is not None
    assert match.condition_real.argmax(1).tolist() == [3, 1, 2]
    assert torch.equal(match.critique("real").condition, match.condition_real)
    slopes = torch.autograd.functional.jacobian(lambda x: duel.discriminator(x + 1).scores.sum(), match.real)
    assert terms["penalty/slope"].item() == pytest.approx(slopes.flatten(1).square().sum(1).mean().item())

    other = Match("generator", make_step(), duel, real=real, fake=lambda: made, **conditions)  # none is slipped in here
    assert torch.equal(other.real, real)
    assert other.condition_real is conditions["condition_real"]


def test_a_critique_carries_what_was_judged() -> None:
    duel = make_duel()
    condition = torch.eye(3)
    made = torch.zeros(3, 1, 2, 2)
    match = Match("discriminator", make_step(), duel, real=made + 1, fake=lambda: made, condition_real=condition)
    assert match.critique("real").samples is match.real
    assert match.critique("real").condition is condition
    assert match.critique("fake").condition is None


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_an_augmentation_without_gradients() -> None:
    class Hard(Augmentation):
        pass

    with pytest.raises(ValueError) as caught:
        make_duel(augmentation=Hard())
    assert str(caught.value) == (
        "Hard is not differentiable and cannot stand before a discriminator; use diffaugment or none"
    )


def test_a_part_that_is_trained_on_no_side() -> None:
    with pytest.raises(ValueError) as caught:
        make_duel(loss=Learned("critic"))
    assert str(caught.value) == "Learned is trained_in 'critic'; make it 'discriminator' or 'generator'"


def test_a_head_and_a_loss_that_do_not_meet() -> None:
    class Directed(Head):
        gives = frozenset({"direction", "norm"})
        demands = frozenset({"direction"})

    class Needy(Plain):
        needs = frozenset({"direction"})

    class Greedy(Plain):
        needs = frozenset({"direction", "classes", "norm"})

    def judged(head: nn.Module, loss: Loss) -> Duel:
        critic = Critic()
        critic.head = head
        return Duel(critic, loss, None, [], nn.Linear(2, 4))

    assert judged(Directed(), Needy()).loss.needs == {"direction"}
    for head, loss, message in [
        (
            nn.Identity(),
            Needy(),
            "Needy needs a head that gives direction, which Identity does not; "
            "`ganvas show loss/needy` has one that does",
        ),
        (
            Directed(),
            Greedy(),
            "Greedy needs a head that gives classes, which Directed does not; "
            "`ganvas show loss/greedy` has one that does",
        ),
        (
            Directed(),
            Plain(),
            "Directed trains wrongly under Plain, which does not use direction; "
            "`ganvas show head/directed` has a loss that does",
        ),
    ]:
        with pytest.raises(ValueError) as caught:
            judged(head, loss)
        assert str(caught.value) == message


# -- what the networks and the parts ask for ---------------------------------------------------------------------------


def test_the_networks_own_terms_join_the_objective_of_the_side_they_are_for() -> None:
    class Classes(Head):
        def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
            return Critique(features.sum(1), classes=features)

        def terms(self, match: Match) -> dict[str, Tensor]:
            share = 1.0 if match.side == "discriminator" else 0.1
            return {"classes": share * match.critique("fake").classes.sum()}

    class WithHead(Critic):
        def __init__(self) -> None:
            super().__init__()
            self.head = Classes()

        def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
            return self.head(samples.flatten(1))

    class Sampled(Linear):
        def terms(self, match: Match) -> dict[str, Tensor]:
            return {"divergence": match.latents.square().mean()} if match.side == "generator" else {}

    duel = Duel(WithHead(), Plain(), None, [], Sampled())
    on_discriminators = duel.terms(make_match(duel))
    match = make_match(duel, "generator")
    on_generators = duel.terms(match)
    assert set(on_discriminators) == {"adversarial", "classes"}
    assert set(on_generators) == {"adversarial", "classes", "divergence"}
    assert on_generators["classes"].item() == pytest.approx(0.1 * on_discriminators["classes"].item(), rel=1e-6)
    assert on_generators["divergence"].item() == match.latents.square().mean().item()


class OneClass(Head):
    """Has a term for a condition of one class, and an inner head."""

    def __init__(self, inner: Head | None = None) -> None:
        super().__init__()
        self.head = inner

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(features.sum(1))

    def terms(self, match: Match) -> dict[str, Tensor]:
        return super().terms(match) | {"one-class": torch.ones(())}

    def check_condition(self, segments: Sequence[Segment]) -> None:
        super().check_condition(segments)
        if [segment.kind for segment in segments] != ["one-hot"]:
            raise ValueError("give it one class")


class Wrapping(Head):
    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        return self.head(features, condition)


@pytest.mark.parametrize("head", [OneClass(), Wrapping(OneClass()), Wrapping(Wrapping(OneClass()))])
def test_a_head_is_asked_about_the_condition_and_its_wrappers_pass_on_that_and_its_terms(head: Head) -> None:
    def built(*segments: Segment) -> Duel:
        critic = Critic()
        critic.head = head
        return Duel(critic, Plain(), None, [], Linear(), segments=segments)

    duel = built(Segment("one-hot", 3))
    assert duel.segments == (Segment("one-hot", 3),)
    assert set(duel.terms(make_match(duel))) == {"adversarial", "one-class"}
    assert built().segments == ()  # nothing is said, so nothing is asked
    for segments in ([Segment("binary", 3)], [Segment("one-hot", 3), Segment("continuous", 1)]):
        with pytest.raises(ValueError, match="give it one class"):
            built(*segments)


def test_regularizers_know_what_the_condition_means_when_they_are_built() -> None:
    seen = []
    Duel(
        Critic(),
        Plain(),
        None,
        [lambda duel: seen.append(duel.segments) or Constant(duel)],
        Linear(),
        segments=[Segment("binary", 2)],
    )
    assert seen == [(Segment("binary", 2),)]


@pytest.mark.parametrize("kind", ["loss", "regularizer"])
def test_a_part_that_reads_a_layer_the_discriminator_does_not_have_is_refused(kind: str) -> None:
    class Matching(Plain):
        layers = ("hidden", "last")

    class Reading(Constant):
        layers = ("hidden", "last")

    name = "Matching" if kind == "loss" else "Reading"
    with pytest.raises(ValueError) as caught:
        make_duel(*([] if kind == "loss" else [Reading]), loss=Matching() if kind == "loss" else None)
    assert str(caught.value) == f"{name} reads the layer 'last', which Critic does not have; its layers are hidden"


def test_a_critique_knows_the_moment_it_was_made_in() -> None:
    duel = make_duel()
    match = make_match(duel, index=7)
    assert match.critique("real").step is match.step
    assert match.critique("real").step.index == 7


@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_samples_from_other_latents_come_under_the_fakes_conditions(side: Any) -> None:
    duel = make_duel()
    match = make_match(duel, side)
    match.condition_fake = torch.ones(3, 2)
    latents = torch.zeros(3, 2)
    made = match.generate(latents)
    assert torch.equal(made, duel.generator(latents, torch.ones(3, 2)))
    assert made.requires_grad == (side == "generator")
