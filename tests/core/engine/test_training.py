"""The loop, with algorithms small enough to compute by hand."""

from __future__ import annotations

import copy
import json
import math
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas import (
    Augmentation,
    Critique,
    Data,
    Discriminator,
    Duel,
    Generator,
    Loss,
    Match,
    Preview,
    Regularizer,
    Scheduled,
    Step,
    Update,
)
from ganvas.engine import states
from ganvas.engine.errors import BrokenState, NonFinite, Stopped
from ganvas.engine.randomness import Randomness
from ganvas.engine.training import check_updates, train
from ganvas.kinds.options import Trained
from ganvas_plugins.losses.hinge import Hinge
from ganvas_plugins.optimizers.adam import Adam
from ganvas_plugins.optimizers.sgd import Sgd
from ganvas_plugins.regularizers.r1 import R1

CPU = torch.device("cpu")


class Number(nn.Module):
    """One parameter, ``value``."""

    def __init__(self, value: float = 0.0, *more: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value, *more]) if more else torch.tensor(value))


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def images_of(step: Step) -> list[int]:
    return step.batch["index"].tolist()


# -- what moves --------------------------------------------------------------------------------------------------------


def test_only_the_trained_network_moves(make_job: Any) -> None:
    judge = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    parts = {"one": nn.Linear(4, 2), "other": judge, "idle": nn.Linear(1, 1)}
    asked: list[list[bool]] = []

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            asked.append([parameter.requires_grad for part in parts.values() for parameter in part.parameters()])
            return {"loss": parts["other"](parts["one"](step.batch["images"].flatten(1))).square().mean()}

        return [Update("first", ["one"], objective)]

    # With the identity that it starts as, the mean square of batch norm's output is constant.
    nn.init.constant_(judge[1].bias, 0.5)
    nn.init.normal_(judge[1].weight)
    before = {name: bits(part) for name, part in parts.items()}
    train(make_job(parts, updates, steps=2))
    assert asked == [[True, True, False, False, False, False, False, False]] * 2
    assert not same(bits(parts["one"]), before["one"])
    assert same(bits(parts["idle"]), before["idle"])
    after = bits(parts["other"])
    # Its running statistics follow what it saw; its parameters stay to the bit.
    assert all(torch.equal(after[name], before["other"][name]) for name in dict(parts["other"].named_parameters()))
    assert after["1.num_batches_tracked"] == 2
    assert all(parameter.grad is None for part in parts.values() for parameter in part.parameters())


def test_a_frozen_stage_inside_stays_to_the_bit(make_job: Any) -> None:
    held = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    parts = {"one": nn.Linear(4, 4)}
    before = bits(held)

    def updates(algorithm: Any) -> list[Update]:
        algorithm.held = Trained(held)
        return [
            Update(
                "first",
                ["one"],
                lambda step: {"loss": algorithm.held(parts["one"](step.batch["images"].flatten(1))).square().mean()},
            )
        ]

    job = make_job(parts, updates, steps=2)
    moved = bits(parts["one"])
    train(job)
    assert same(bits(held), before)
    assert not same(bits(parts["one"]), moved)
    assert list(job.algorithm.state_dict()) == ["parts.one.weight", "parts.one.bias"]


def test_a_parameter_that_two_trained_networks_share_counts_once(make_job: Any) -> None:
    trunk = Number(0.0)
    parts = {"a": nn.ModuleList([trunk]), "b": nn.ModuleList([trunk])}
    logged: list[dict[str, float]] = []
    job = make_job(
        parts,
        lambda algorithm: [Update("first", ["a", "b"], lambda step: {"loss": -3 * trunk.value})],
        scalars=lambda index, images, values: logged.append(values),
    )
    train(job)
    assert trunk.value.item() == 3.0
    assert logged[0]["grad/first"] == 3.0


# -- every, repeat, batch ----------------------------------------------------------------------------------------------


def counted(seen: list[tuple[int, int, list[int]]], network: Number) -> Callable[[Step], dict[str, Tensor]]:
    def objective(step: Step) -> dict[str, Tensor]:
        seen.append((step.index, step.repetition, images_of(step)))
        return {"loss": network.value}

    return objective


def order(job: Any, times: int) -> list[list[int]]:
    from ganvas.engine.batches import Batches

    stream = Batches(job.data, job.batch_size, Randomness(job.seed, CPU), CPU)
    return [stream.draw()["index"].tolist() for _ in range(times)]


def test_every_and_repeat(make_job: Any) -> None:
    runs: dict[str, list[Any]] = {"a": [], "b": [], "c": []}
    parts = {name: Number() for name in runs}
    repeat = Scheduled(1, first=(2, 3), every=(5, 2))

    def updates(algorithm: Any) -> list[Update]:
        return [
            Update("a", ["a"], counted(runs["a"], parts["a"])),
            Update("b", ["b"], counted(runs["b"], parts["b"]), every=3),
            Update("c", ["c"], counted(runs["c"], parts["c"]), repeat=repeat),
        ]

    train(make_job(parts, updates, steps=7))
    assert [(index, repetition) for index, repetition, _ in runs["a"]] == [(i, 0) for i in range(7)]
    assert [index for index, _, _ in runs["b"]] == [0, 3, 6]
    assert [(i, r) for i, r, _ in runs["c"]] == [
        *[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
        *[(2, 0), (3, 0), (4, 0), (5, 0), (5, 1), (6, 0)],
    ]
    assert {name: part.value.item() for name, part in parts.items()} == {"a": -7, "b": -3, "c": -12}


def test_which_batch_each_run_sees(make_job: Any) -> None:
    runs: dict[str, list[Any]] = {name: [] for name in ("same", "shared", "fresh", "last")}
    parts = {name: Number() for name in runs}

    def updates(algorithm: Any) -> list[Update]:
        return [
            Update("same", ["same"], counted(runs["same"], parts["same"]), repeat=2, batch="same"),
            Update("shared", ["shared"], counted(runs["shared"], parts["shared"]), repeat=3),
            Update("fresh", ["fresh"], counted(runs["fresh"], parts["fresh"]), repeat=2, batch="fresh"),
            Update("last", ["last"], counted(runs["last"], parts["last"])),
        ]

    job = make_job(parts, updates, steps=2)
    train(job)
    drawn = order(job, 10)
    seen = {name: [batch for _, _, batch in run] for name, run in runs.items()}
    # In each iteration: its own batch, two more for "shared", two for "fresh".
    for first, iteration in ((0, 0), (5, 1)):
        own, *others = drawn[first : first + 5]
        assert seen["same"][2 * iteration : 2 * iteration + 2] == [own, own]
        assert seen["shared"][3 * iteration : 3 * iteration + 3] == [own, *others[:2]]
        assert seen["fresh"][2 * iteration : 2 * iteration + 2] == others[2:]
        assert seen["last"][iteration] == own
    assert states.load(job.folder / "000000002.safetensors")["batches"] == {"positions": [["", 4, 40]]}


def test_a_simultaneous_group_shares_each_repetitions_batch(make_job: Any) -> None:
    runs: dict[str, list[Any]] = {"a": [], "b": []}
    parts = {name: Number() for name in runs}

    def updates(algorithm: Any) -> list[Any]:
        return [tuple(Update(name, [name], counted(runs[name], parts[name]), repeat=3) for name in runs)]

    job = make_job(parts, updates)
    train(job)
    assert [batch for _, _, batch in runs["a"]] == order(job, 3)
    assert runs["a"] == runs["b"]


def test_shared_lives_for_one_iteration_and_draw_has_its_own_positions(make_job: Any) -> None:
    parts = {"a": Number()}
    found: list[Any] = []

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            found.append(("before", step.index, dict(step.shared)))
            step.shared["x"] = step.index
            found.append(step.draw(size=3)["index"].tolist())
            return {"loss": parts["a"].value}

        return [Update("a", ["a"], objective), Update("again", ["a"], objective, optimizer="a")]

    job = make_job(parts, updates, steps=2)
    train(job)
    told = [entry for entry in found if isinstance(entry, tuple)]
    assert told == [("before", 0, {}), ("before", 0, {"x": 0}), ("before", 1, {}), ("before", 1, {"x": 1})]
    drawn = [index for entry in found if isinstance(entry, list) for index in entry]
    assert sorted(drawn) == list(range(12))


def test_after_runs_after_each_step_without_gradients(make_job: Any) -> None:
    parts = {"a": Number()}
    told: list[Any] = []

    def after(step: Step) -> None:
        told.append((step.index, step.repetition, torch.is_grad_enabled(), parts["a"].value.item()))

    def updates(algorithm: Any) -> list[Update]:
        return [Update("a", ["a"], lambda step: {"loss": -parts["a"].value}, repeat=2, after=after)]

    train(make_job(parts, updates, steps=2))
    assert told == [(0, 0, False, 1.0), (0, 1, False, 2.0), (1, 0, False, 3.0), (1, 1, False, 4.0)]


# -- simultaneous updates and shared optimizers ------------------------------------------------------------------------


def game(first: Number, other: Number) -> tuple[Update, Update]:
    """min over x of xy, min over y of -xy: whether the second player sees the first one's step makes a difference."""
    return (
        Update("x", ["x"], lambda step: {"loss": first.value * other.value}),
        Update("y", ["y"], lambda step: {"loss": -first.value * other.value}),
    )


def test_a_tuple_of_updates_is_simultaneous(make_job: Any) -> None:
    x, y = Number(2.0), Number(3.0)
    train(make_job({"x": x, "y": y}, lambda algorithm: [game(x, y)], steps=2))
    assert (x.value.item(), y.value.item()) == (-6.0, 4.0)  # (2, 3) -> (2 - 3, 3 + 2) -> (-1 - 5, 5 - 1)

    x, y = Number(2.0), Number(3.0)
    job = make_job({"x": x, "y": y}, lambda algorithm: list(game(x, y)))
    job.folder = job.folder / "in turns"
    train(job)
    assert (x.value.item(), y.value.item()) == (-1.0, 2.0)  # one after the other: y sees the new x


def test_a_tuple_may_share_an_optimizer_and_a_parameter(make_job: Any) -> None:
    trunk, head = Number(1.0), Number(1.0)

    def updates(algorithm: Any) -> list[Any]:
        return [
            (
                Update("one", ["trunk"], lambda step: {"loss": 2 * trunk.value}, optimizer="joint"),
                Update(
                    "other", ["trunk", "head"], lambda step: {"loss": 3 * trunk.value * head.value}, optimizer="joint"
                ),
                Update("last", ["head"], lambda step: {"loss": 5 * head.value}, optimizer="joint"),
            )
        ]

    train(make_job({"trunk": trunk, "head": head}, updates))
    assert (trunk.value.item(), head.value.item()) == (1 - 2 - 3, 1 - 3 - 5)


def test_updates_with_one_optimizer_share_its_state(make_job: Any) -> None:
    parts = {"a": Number(1.0)}

    def updates(algorithm: Any) -> list[Update]:
        objective = lambda step: {"loss": parts["a"].value.square()}  # noqa: E731
        return [Update("one", ["a"], objective), Update("other", ["a"], objective, optimizer="one", repeat=2)]

    job = make_job(parts, updates, steps=2, optimizers={"one": Adam(lr=0.1)})
    train(job)
    saved = states.load(job.folder / "000000002.safetensors")["optimizers"]
    assert list(saved) == ["one"]
    assert saved["one"]["state"][0]["step"].item() == 6

    by_hand = Number(1.0)
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=0.1, betas=(0.5, 0.999), fused=True)
    for _ in range(6):
        optimizer.zero_grad()
        by_hand.value.square().backward()
        optimizer.step()
    assert torch.equal(parts["a"].value, by_hand.value)


def test_what_nobody_touched_does_not_move_under_adam(make_job: Any) -> None:
    parts = {"a": Number(1.0), "b": Number(1.0)}

    def updates(algorithm: Any) -> list[Update]:
        both = lambda step: {"loss": parts["a"].value + (parts["b"].value if step.index == 0 else 0)}  # noqa: E731
        return [Update("one", ["a", "b"], both)]

    job = make_job(parts, updates, steps=3, optimizers={"one": Adam(lr=0.1)})
    train(job)
    assert parts["b"].value.item() == pytest.approx(0.9)  # momentum of zero gradients would have gone on
    assert parts["a"].value.item() == pytest.approx(0.7)


def test_scheduled_options_of_an_optimizer(make_job: Any) -> None:
    parts = {"a": Number(0.0)}
    logged: list[dict[str, float]] = []
    job = make_job(
        parts,
        lambda algorithm: [Update("one", ["a"], lambda step: {"loss": -parts["a"].value})],
        steps=4,
        log_every=1,
        optimizers={"one": Sgd(lr=Scheduled(1.0, to=0.0, over=("iterations", 4)))},
        scalars=lambda index, images, values: logged.append(values),
    )
    assert not train(job).length_read
    assert parts["a"].value.item() == 1 + 0.75 + 0.5 + 0.25
    assert [values["grad/learning-rate.one"] for values in logged] == [1, 0.75, 0.5, 0.25]


def test_whether_the_length_was_read(make_job: Any) -> None:
    parts = {"a": Number()}
    plain = lambda step: {"loss": parts["a"].value}  # noqa: E731
    assert not train(make_job(parts, lambda algorithm: [Update("one", ["a"], plain)])).length_read
    for number, options in enumerate(
        [
            {"optimizers": {"one": Sgd(lr=Scheduled(1.0, to=0.0))}},
            {"average": (Scheduled(1.0, to=0.0), ["a"])},
        ]
    ):
        parts["a"] = Number()
        job = make_job(parts, lambda algorithm: [Update("one", ["a"], plain)], **options)
        job.folder = job.folder / str(number)
        assert train(job).length_read
        assert states.load(job.folder / "000000001.safetensors")["length_read"]
    parts["a"] = Number()
    reads = lambda step: {"loss": parts["a"].value * step.progress}  # noqa: E731
    job = make_job(parts, lambda algorithm: [Update("one", ["a"], reads)])
    job.folder = job.folder / "last"
    assert train(job).length_read


# -- what is refused ---------------------------------------------------------------------------------------------------


def quiet(step: Step) -> dict[str, Tensor]:
    return {}


@pytest.mark.parametrize(
    ("updates", "named", "message"),
    [
        (
            [Update("one", ["generator", "encoder"], quiet)],
            {"one"},
            "the update 'one' trains 'encoder', but the networks are generator, critic, tied",
        ),
        (
            [Update("one", ["generator"], quiet), Update("other", ["generator"], quiet)],
            {"one", "other"},
            "a parameter of 'generator' belongs to two optimizers, 'one' and 'other'",
        ),
        (
            [Update("one", ["critic"], quiet), Update("other", ["tied"], quiet)],
            {"one", "other"},
            "a parameter of 'tied' belongs to two optimizers, 'one' and 'other'",
        ),
        (
            [Update("one", ["generator"], quiet), Update("one", ["critic"], quiet)],
            {"one"},
            "two updates are called 'one'",
        ),
        (
            [Update("one", ["generator"], quiet), Update("other", ["critic"], quiet)],
            {"x"},
            "no optimizer for one, other",
        ),
        (
            [(Update("one", ["generator"], quiet), Update("other", ["critic"], quiet, every=2))],
            {"one", "other"},
            "the updates 'one', 'other' are simultaneous, but every or repeat differ among them",
        ),
    ],
)
def test_updates_that_contradict_one_another(updates: list[Any], named: set[str], message: str) -> None:
    critic = nn.Linear(1, 1)
    networks = {"generator": nn.Linear(1, 1), "critic": critic, "tied": nn.Sequential(critic)}
    with pytest.raises(ValueError) as caught:
        check_updates(networks, updates, named)
    assert str(caught.value) == message


def test_updates_may_share_an_optimizer_and_its_parameters() -> None:
    networks = {"generator": nn.Linear(1, 1)}
    updates = [Update("one", ["generator"], quiet), Update("other", ["generator"], quiet, optimizer="one")]
    check_updates(networks, updates, {"one"})


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("everything", [False, True])
def test_a_trained_network_without_gradient_stops(everything: bool, together: bool, make_job: Any) -> None:
    parts = {"a": Number(), "b": Number(1.0), "c": Number()}

    def updates(algorithm: Any) -> list[Any]:
        def objective(step: Step) -> dict[str, Tensor]:
            loss = parts["b"].value.detach() * parts["a"].value
            return {"loss": loss.detach() if everything else loss}

        group = (
            Update("second", ["a", "b"], objective),
            Update("third", ["c"], lambda step: {"loss": parts["c"].value}),
        )
        return [group if together else group[0]]

    with pytest.raises(ValueError) as caught:
        train(make_job(parts, updates))
    assert str(caught.value) == (
        f"the update 'second' trains '{'a' if everything else 'b'}', but its objective gave that network no gradient: "
        "is something detached on the way?"
    )


# -- clipping and precision --------------------------------------------------------------------------------------------


def test_clipping_bounds_the_norm_of_each_update(make_job: Any) -> None:
    parts = {"a": Number(0.0, 0.0), "b": Number(0.0)}
    logged: list[dict[str, float]] = []

    def updates(algorithm: Any) -> list[Update]:
        return [
            Update("one", ["a"], lambda step: {"loss": -(parts["a"].value * torch.tensor([3.0, 4.0])).sum()}),
            Update("other", ["b"], lambda step: {"loss": -0.25 * parts["b"].value}),
        ]

    train(make_job(parts, updates, clip_gradients=0.5, scalars=lambda index, images, values: logged.append(values)))
    assert parts["a"].value.tolist() == pytest.approx([0.3, 0.4], rel=1e-5)
    assert parts["b"].value.item() == 0.25
    assert logged[0]["grad/one"] == pytest.approx(0.5, rel=1e-5)
    assert logged[0]["grad/other"] == 0.25


def test_clipping_in_a_group_with_one_optimizer_bounds_everybody(make_job: Any) -> None:
    parts = {"a": Number(0.0), "b": Number(0.0)}

    def updates(algorithm: Any) -> list[Any]:
        return [
            tuple(
                Update(name, [name], lambda step, name=name: {"loss": -4 * parts[name].value}, optimizer="joint")
                for name in parts
            )
        ]

    train(make_job(parts, updates, clip_gradients=0.5))
    assert [part.value.item() for part in parts.values()] == pytest.approx([0.5, 0.5], rel=1e-5)


def test_lower_precision_holds_inside_the_objective_only(make_job: Any) -> None:
    network = nn.Linear(4, 1)
    found: dict[str, Any] = {}

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            score = network(step.batch["images"].flatten(1))
            found["scores"] = score.dtype
            return {"loss": score.mean()}

        def after(step: Step) -> None:
            found["after"] = torch.is_autocast_enabled("cpu")
            found["gradient's owner"] = network.weight.dtype

        return [Update("one", ["a"], objective, after=after)]

    logged: list[dict[str, float]] = []
    job = make_job({"a": network}, updates, bf16=True, scalars=lambda index, images, values: logged.append(values))
    train(job)
    assert found == {"scores": torch.bfloat16, "after": False, "gradient's owner": torch.float32}
    assert math.isfinite(logged[0]["loss/one.loss"])


class Affine(nn.Linear):
    """The plainest generator."""

    terms = Generator.terms


class Critic(Discriminator):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.last = nn.Linear(4, 16), nn.Linear(16, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)
        self.dtypes: list[torch.dtype] = []

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        hidden = self.first(samples.flatten(1))
        self.dtypes.append(hidden.dtype)
        return Critique(self.last(functional.softplus(hidden)).squeeze(1))


def penalised(bf16: bool, make_job: Any) -> tuple[dict[str, float], Critic]:
    critic, generator = Critic(), Affine(2, 4)
    nn.init.constant_(generator.weight, 0.1)
    nn.init.zeros_(generator.bias)

    def updates(algorithm: Any) -> list[Update]:
        algorithm.duel = Duel(critic, Hinge(), None, [lambda duel: R1(duel, weight=2.0)], generator)

        def match(side: Any, step: Step) -> Match:
            latents = torch.randn(4, 2, generator=step.rng)
            fake = lambda: generator(latents).view(4, 1, 2, 2)  # noqa: E731
            return Match(side, step, algorithm.duel, real=step.batch["images"], fake=fake, latents=latents)

        return algorithm.duel.updates(match)

    logged: list[dict[str, float]] = []
    parts = {"discriminator": critic, "generator": generator}
    optimizers = {"discriminator": Sgd(lr=0.0), "generator": Sgd(lr=0.0)}
    job = make_job(
        parts, updates, bf16=bf16, optimizers=optimizers, scalars=lambda index, images, values: logged.append(values)
    )
    job.folder = job.folder / str(bf16)
    train(job)
    return logged[0], critic


def test_penalties_are_float32_under_lower_precision(make_job: Any) -> None:
    exact, _ = penalised(False, make_job)
    coarse, critic = penalised(True, make_job)
    assert exact["penalty/r1"] > 1
    # The networks ran in bf16, with an error of a few thousandths; the penalty is the float32 number.
    assert coarse["penalty/r1"] == pytest.approx(exact["penalty/r1"], rel=1e-6)
    assert coarse["loss/discriminator.adversarial"] == pytest.approx(exact["loss/discriminator.adversarial"], rel=3e-2)
    assert coarse["loss/discriminator.adversarial"] != exact["loss/discriminator.adversarial"]
    assert set(critic.dtypes) == {torch.bfloat16, torch.float32}
    assert coarse["grad/discriminator"] == pytest.approx(exact["grad/discriminator"], rel=3e-2)


# -- logs --------------------------------------------------------------------------------------------------------------


def test_an_objective_knows_where_scalars_are_read(make_job: Any) -> None:
    asked: list[int] = []
    parts = {"a": Number(0.0)}

    def objective(step: Step) -> dict[str, Tensor]:
        if step.logging:
            asked.append(step.index)
        return {"loss": parts["a"].value}

    train(make_job(parts, lambda algorithm: [Update("one", ["a"], objective)], steps=7, log_every=3))
    assert asked == [2, 5, 6]


def test_logged_numbers_are_the_means_between_log_points(make_job: Any) -> None:
    parts = {"a": Number(0.0)}
    logged: list[tuple[int, int, dict[str, float]]] = []

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            step.log("scores/index", step.index)
            step.log("scores/value", parts["a"].value * 2)
            terms = {"loss": -parts["a"].value}
            return terms | ({"penalty/lazy": parts["a"].value * 0 + 8.0} if step.index % 4 == 0 else {})

        return [Update("one", ["a"], objective, repeat=2)]

    train(make_job(parts, updates, steps=7, log_every=3, scalars=lambda *given: logged.append(given)))
    assert [(index, images) for index, images, _ in logged] == [(3, 12), (6, 24), (7, 28)]
    times = [values.pop("time/images-per-second") for _, _, values in logged]
    assert all(rate > 0 for rate in times)
    # The value climbs by one in each of the two runs of an iteration: 0, 1 | 2, 3 | 4, 5 || 6, 7 | …
    assert [values for _, _, values in logged] == [
        {
            "loss/one.loss": -2.5,
            "scores/index": 1.0,
            "scores/value": (2 + 6 + 10) / 3,
            "penalty/lazy": 8.0,
            "grad/one": 1.0,
            "grad/learning-rate.one": 1.0,
        },
        {
            "loss/one.loss": -8.5,
            "scores/index": 4.0,
            "scores/value": (14 + 18 + 22) / 3,
            "penalty/lazy": 8.0,
            "grad/one": 1.0,
            "grad/learning-rate.one": 1.0,
        },
        {
            "loss/one.loss": -12.5,
            "scores/index": 6.0,
            "scores/value": 26.0,
            "grad/one": 1.0,
            "grad/learning-rate.one": 1.0,
        },
    ]


def test_means_across_a_restart(make_job: Any) -> None:
    """A checkpoint between two log points keeps what was summed up to it."""

    def run(stop: int | None, folder: str) -> list[dict[str, float]]:
        parts, logged = {"a": Number(0.0)}, []

        def objective(step: Step) -> dict[str, Tensor]:
            if step.index == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return {"loss": -parts["a"].value / 3}

        options = {"steps": 7, "log_every": 5, "scalars": lambda index, images, values: logged.append(values)}
        job = make_job(parts, lambda algorithm: [Update("one", ["a"], objective)], **options)
        job.folder = job.folder / folder
        try:
            train(job)
        except Stopped:
            again = {"a": Number(9.0)}
            rest = [Update("one", ["a"], lambda step: {"loss": -again["a"].value / 3})]
            job = make_job(again, lambda algorithm: rest, **options)
            job.folder = job.folder / folder
            assert train(job).resumed_at == stop + 1
        return [{name: value for name, value in values.items() if not name.startswith("time/")} for values in logged]

    assert run(2, "stopped") == run(None, "through")


def test_a_term_that_is_no_number_is_named(make_job: Any) -> None:
    parts = {"a": Number(1.0)}

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            good = parts["a"].value * 1.0
            return {"good": good, "bad": good * (math.inf if step.index == 4 else 1.0)}

        return [Update("one", ["a"], objective)]

    job = make_job(parts, updates, steps=6, log_every=6, checkpoint_every=3)
    with pytest.raises(NonFinite) as caught:
        train(job)
    assert [path.name for path in sorted(job.folder.iterdir())] == ["000000003.safetensors"]
    assert str(caught.value) == (
        "stage: the term 'loss/one.bad' became -inf in iteration 5; "
        f"the last good state is {job.folder}/000000003.safetensors. "
        "A smaller learning rate, clip_gradients or a regularizer may help"
    )


def test_a_bad_term_after_the_last_log_point_never_gets_into_a_checkpoint(make_job: Any) -> None:
    parts = {"a": Number(1.0)}

    def updates(algorithm: Any) -> list[Update]:
        return [Update("one", ["a"], lambda step: {"loss": parts["a"].value * (math.nan if step.index == 3 else 1.0)})]

    told: list[int] = []
    job = make_job(
        parts, updates, steps=40, log_every=3, checkpoint_every=5, saved=lambda index, path: told.append(index)
    )
    with pytest.raises(NonFinite) as caught:
        train(job)
    assert told == []
    assert not job.folder.exists()
    assert str(caught.value) == (
        "stage: the term 'loss/one.loss' became nan in iteration 4; no state was saved yet. "
        "A smaller learning rate, clip_gradients or a regularizer may help"
    )


# -- against a loop written by hand ------------------------------------------------------------------------------------


class Noisy(Generator):
    """A generator that draws inside ``forward``, with batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 4))

    def forward(self, latents: Tensor) -> Tensor:
        hidden = self.layers(latents)
        return torch.tanh(hidden + 0.1 * torch.randn_like(hidden)).view(-1, 1, 2, 2)


class Shaking(Augmentation):
    differentiable = True

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        return images + 0.1 * torch.randn(images.shape, generator=rng)


def players() -> tuple[Noisy, Critic]:
    torch.manual_seed(3)
    return Noisy(), Critic()


def test_the_loop_is_the_hand_written_one_to_the_bit(make_job: Any, mirrored: type) -> None:
    data, steps, size, seed = Data(mirrored(10)), 6, 4, 11
    generator, critic = players()

    def updates(algorithm: Any) -> list[Update]:
        algorithm.duel = Duel(critic, Hinge(), Shaking(), [lambda duel: R1(duel, weight=0.3, every=2)], generator)

        def match(side: Any, step: Step) -> Match:
            latents = torch.randn(size, 3, generator=step.rng)
            fake = lambda: generator(latents)  # noqa: E731
            return Match(side, step, algorithm.duel, real=step.batch["images"], fake=fake, latents=latents)

        return algorithm.duel.updates(match, steps=2)

    optimizers = {"discriminator": Adam(lr=0.01), "generator": Adam(lr=0.02)}
    logged: list[dict[str, float]] = []
    parts = {"generator": generator, "discriminator": critic}
    options = {"steps": steps, "batch_size": size, "seed": seed, "data": data, "optimizers": optimizers, "log_every": 3}
    options |= {"average": (Scheduled(20.0), ["generator"]), "clip_gradients": 1.0}
    options |= {"scalars": lambda index, images, values: logged.append(values)}
    outcome = train(make_job(parts, updates, **options))

    # The same by hand: permutations one after another, every draw seeded by what it is for.
    theirs, ours = players()[1], players()[0]
    mean = copy.deepcopy(ours).requires_grad_(False)
    optimizer_d = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.5, 0.999), fused=True)
    optimizer_g = torch.optim.Adam(ours.parameters(), lr=0.02, betas=(0.5, 0.999), fused=True)
    randomness, rng = Randomness(seed, CPU), torch.Generator()
    whole = data.dataset.tensors()["images"]
    position, order, losses = 0, [], []

    def draw() -> Tensor:
        nonlocal position
        while len(order) < position + size:
            number = randomness.number("order", "", len(order) // 10) >> 1
            order.extend(torch.randperm(10, generator=torch.Generator().manual_seed(number)).tolist())
        images = whole[order[position : position + size]].float().mul_(2 / 255).add_(-1)
        flips = torch.Generator().manual_seed(randomness.number("data", "", size, position) >> 1)
        flip = torch.rand(size, 1, 1, 1, generator=flips) < 0.5
        position += size
        return torch.where(flip, images.flip(-1), images)

    def seeded(*words: object) -> None:
        number = randomness.number(*words)
        torch.default_generator.manual_seed(number & 0x7FFF_FFFF_FFFF_FFFF)
        rng.manual_seed((number + 1) & 0x7FFF_FFFF_FFFF_FFFF)

    def shaken(images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn(images.shape, generator=rng)

    for index in range(steps):
        first = draw()
        for repetition in range(2):
            real = first if repetition == 0 else draw()
            seeded("discriminator", index, repetition)
            latents = torch.randn(size, 3, generator=rng)
            real.requires_grad_(index % 2 == 0)
            with torch.no_grad():
                fake = ours(latents)
            fake_scores, real_scores = theirs(shaken(fake)).scores, theirs(shaken(real)).scores
            loss = functional.relu(1 - real_scores).mean() + functional.relu(1 + fake_scores).mean()
            losses.append(loss.item())
            if index % 2 == 0:
                (gradient,) = torch.autograd.grad(real_scores.sum(), real, create_graph=True)
                loss = loss + 0.3 * 2 * (0.5 * gradient.flatten(1).square().sum(1).mean())
            optimizer_d.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
            optimizer_d.step()
        seeded("generator", index, 0)
        theirs.requires_grad_(False)
        loss = -theirs(shaken(ours(torch.randn(size, 3, generator=rng)))).scores.mean()
        optimizer_g.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(ours.parameters(), 1.0)
        optimizer_g.step()
        theirs.requires_grad_(True)
        with torch.no_grad():
            for averaged, live in zip(mean.parameters(), ours.parameters(), strict=True):
                averaged.lerp_(live, 1 - 0.5 ** (size / 20))
            for averaged, live in zip(mean.buffers(), ours.buffers(), strict=True):
                averaged.copy_(live)

    assert same(bits(critic), bits(theirs))
    assert same(bits(generator), bits(ours))
    assert outcome.average is not None
    assert same(bits(outcome.average.copies["generator"]), bits(mean))
    assert [values["loss/discriminator.adversarial"] for values in logged] == [
        sum(losses[:6]) / 6,
        sum(losses[6:]) / 6,
    ]


class Judging(Discriminator):
    """A discriminator that shows its features."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Tanh()), nn.Linear(6, 1)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        features = self.trunk(samples)
        return Critique(self.head(features).squeeze(1), features=features)


class Learned(Loss):
    """The scores' difference, and a linear critic of the discriminator's features."""

    def __init__(self, trained_in: Any) -> None:
        super().__init__()
        self.trained_in, self.critic = trained_in, nn.Linear(6, 1)

    def discriminator(self, real: Critique, fake: Critique) -> Tensor:
        return (fake.scores - real.scores).mean() + functional.softplus(
            self.critic(fake.features) - self.critic(real.features)
        ).mean()

    def generator(self, fake: Critique, real: Critique) -> Tensor:
        return functional.softplus(-self.critic(fake.features)).mean() - fake.scores.mean()


class Recovers(Regularizer):
    """InfoGAN's Q: a head over the discriminator's features that finds the first latent again."""

    joins = frozenset({"generator"})
    component_name = "recovers"

    def __init__(self, duel: Duel, **options: Any) -> None:
        super().__init__(duel, **options)
        self.q = nn.Linear(6, 1)

    def penalty(self, match: Match) -> Tensor:
        assert match.latents is not None
        return (self.q(match.critique("fake").features) - match.latents[:, :1]).square().mean()


def learning_duel(trained_in: str, own_step: bool) -> Duel:
    torch.manual_seed(5)
    regularizer = lambda duel: Recovers(duel, weight=0.5, own_step=own_step)  # noqa: E731
    return Duel(Judging(), Learned(trained_in), None, [regularizer], Affine(3, 4))


@pytest.mark.parametrize("own_step", [False, True])
@pytest.mark.parametrize("trained_in", ["discriminator", "generator"])
def test_what_a_loss_and_a_regularizer_own_is_trained_as_by_hand(
    trained_in: str, own_step: bool, make_job: Any
) -> None:
    real, latents = (torch.randn(5, *shape, generator=torch.Generator().manual_seed(7)) for shape in ((1, 2, 2), (3,)))
    duel = learning_duel(trained_in, own_step)
    start = bits(duel)

    def match(side: Any, step: Step) -> Match:
        fake = lambda: duel.generator(latents).view(-1, 1, 2, 2)  # noqa: E731
        return Match(side, step, duel, real=real, fake=fake, latents=latents)

    optimizers = {"discriminator": Adam(lr=0.01), "generator": Adam(lr=0.02)}
    options = {"steps": 3, "optimizers": optimizers, "average": (Scheduled(8.0), ["loss", "recovers"])}
    job = make_job(duel.networks(), lambda algorithm: duel.updates(match), **options)
    outcome = train(job)

    # By hand: who moves in which step, and on what.
    ours = learning_duel(trained_in, own_step)
    judge, generator, critic, q = ours.discriminator, ours.generator, ours.loss.critic, ours.regularizers[0].q
    moved = {"discriminator": [*judge.parameters()], "generator": [*generator.parameters()]}
    moved[trained_in] += critic.parameters()
    moments = {"betas": (0.5, 0.999), "fused": True}
    optimizer = {
        "discriminator": torch.optim.Adam(moved["discriminator"], lr=0.01, **moments),
        "generator": torch.optim.Adam([*moved["generator"], *q.parameters()], lr=0.02, **moments),
    }
    mean = copy.deepcopy(critic)

    def descend(side: str, parameters: list[Any], loss: Tensor) -> None:
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer[side].step()
        optimizer[side].zero_grad()

    for _ in range(3):
        fake, seen = judge(generator(latents).detach().view(-1, 1, 2, 2)), judge(real)
        told = functional.softplus(critic(fake.features) - critic(seen.features)).mean()
        loss = (fake.scores - seen.scores).mean() + told
        descend("discriminator", moved["discriminator"], loss)
        fake = judge(generator(latents).view(-1, 1, 2, 2))
        loss = functional.softplus(-critic(fake.features)).mean() - fake.scores.mean()
        recovered = 0.5 * (q(fake.features) - latents[:, :1]).square().mean()
        if own_step:
            descend("generator", moved["generator"], loss)
            fake = judge(generator(latents).view(-1, 1, 2, 2))
            recovered = 0.5 * (q(fake.features) - latents[:, :1]).square().mean()
            descend("generator", [*generator.parameters(), *q.parameters()], recovered)
        else:
            descend("generator", [*moved["generator"], *q.parameters()], loss + recovered)
        with torch.no_grad():
            for averaged, live in zip(mean.parameters(), critic.parameters(), strict=True):
                averaged.lerp_(live, 1 - 0.5 ** (4 / 8))

    assert same(bits(duel), bits(ours))
    # Biases cancel where only differences of scores are seen.
    assert not any(torch.equal(value, start[name]) for name, value in bits(duel).items() if name.endswith("weight"))
    assert outcome.average is not None
    assert same(bits(outcome.average.copies["loss"].critic), bits(mean))
    # The checkpoint holds them: weights, moments, averages.
    state = states.load(sorted(job.folder.glob("*.safetensors"))[-1])
    assert torch.equal(state["algorithm"]["parts.loss.critic.weight"], critic.weight)
    assert torch.equal(state["algorithm"]["parts.recovers.q.weight"], q.weight)
    assert {name: len(held["state"]) for name, held in state["optimizers"].items()} == {
        side: len(made.state) for side, made in optimizer.items()
    }
    assert list(state["average"]) == ["loss", "recovers"]


def test_a_loss_that_never_asks_its_own_network_stops(make_job: Any) -> None:
    duel = learning_duel("discriminator", own_step=False)
    duel.loss.discriminator = lambda real, fake: (fake.scores - real.scores).mean()  # type: ignore[method-assign]

    def match(side: Any, step: Step) -> Match:
        fake = lambda: duel.generator(torch.ones(4, 3)).view(-1, 1, 2, 2)  # noqa: E731
        return Match(side, step, duel, real=step.batch["images"], fake=fake)

    with pytest.raises(ValueError) as caught:
        train(make_job(duel.networks(), lambda algorithm: duel.updates(match)))
    assert str(caught.value) == (
        "the update 'discriminator' trains 'loss', but its objective gave that network no gradient: "
        "is something detached on the way?"
    )


def test_what_an_author_froze_stays(make_job: Any) -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.still, self.moving = Number(2.0).requires_grad_(False), Number(1.0)

    parts = {"a": Holds(), "b": nn.Identity()}
    seen: list[bool] = []

    def objective(step: Step) -> dict[str, Tensor]:
        seen.append(parts["a"].still.value.requires_grad)
        return {"loss": parts["a"].still.value * parts["a"].moving.value}

    train(make_job(parts, lambda algorithm: [Update("one", ["a"], objective)], steps=2))
    assert seen == [False, False]
    assert bits(parts["a"]) == {"still.value": torch.tensor(2.0), "moving.value": torch.tensor(1.0 - 2 * 2.0)}


def test_a_frozen_network_may_be_shared_by_two_optimizers() -> None:
    shared = Number().requires_grad_(False)
    networks = {name: nn.ModuleDict({"own": Number(), "shared": shared}) for name in ("a", "b")}
    updates = [Update(name, [name], lambda step: {}) for name in networks]
    check_updates(networks, updates, {"a", "b"})
    shared.requires_grad_(True)
    with pytest.raises(ValueError, match="a parameter of 'b' belongs to two optimizers, 'a' and 'b'"):
        check_updates(networks, updates, {"a", "b"})


def test_numpy_and_python_draw_the_same_after_a_restart(make_job: Any) -> None:
    import random

    def run(stop: int | None, folder: str) -> list[Any]:
        parts, drawn = {"a": Number()}, []

        def objective(step: Step) -> dict[str, Tensor]:
            drawn.append((step.index, random.random(), numpy.random.rand(), torch.rand(()).item()))
            if step.index == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return {"loss": parts["a"].value}

        job = make_job(parts, lambda algorithm: [Update("one", ["a"], objective)], steps=4)
        job.folder = job.folder / folder
        try:
            train(job)
        except Stopped:
            random.seed(0), numpy.random.seed(0)
            stop = None
            train(job)
        return drawn

    assert run(1, "stopped") == run(None, "through")


# -- signals and checkpoints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("moment", [2, 4])
def test_a_signal_ends_after_the_iteration_with_the_state_saved(number: Any, moment: int, make_job: Any) -> None:
    parts = {"a": Number(0.0)}

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            if step.index == moment:
                os.kill(os.getpid(), number)
            return {"loss": -parts["a"].value}

        return [Update("one", ["a"], objective)]

    before = signal.getsignal(number)
    job = make_job(parts, updates, steps=5)
    with pytest.raises(Stopped) as caught:
        train(job)
    path = job.folder / f"{moment + 1:09d}.safetensors"
    assert caught.value.signal == number
    assert str(caught.value) == f"{number.name} at iteration {moment + 1} of 5; the state is in {path}"
    assert states.load(path)["index"] == moment + 1
    assert states.load(path)["algorithm"]["parts.a.value"].item() == moment + 1
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_at_once(make_job: Any) -> None:
    parts, reached = {"a": Number(0.0)}, []

    def updates(algorithm: Any) -> list[Update]:
        def objective(step: Step) -> dict[str, Tensor]:
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("first")
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("second")
            return {"loss": parts["a"].value}

        return [Update("one", ["a"], objective)]

    with pytest.raises(KeyboardInterrupt):
        train(make_job(parts, updates, steps=5))
    assert reached == ["first"]


def climbing(make_job: Any, **options: Any) -> tuple[Any, dict[str, Number]]:
    parts = {"a": Number(0.0)}
    job = make_job(parts, lambda algorithm: [Update("one", ["a"], lambda step: {"loss": -parts["a"].value})], **options)
    return job, parts


@pytest.mark.parametrize(("keep", "kept"), [(1, [7]), (2, [6, 7]), (3, [4, 6, 7]), (9, [2, 4, 6, 7])])
def test_the_newest_checkpoints_are_kept(keep: int, kept: list[int], make_job: Any) -> None:
    told: list[int] = []
    job, _ = climbing(make_job, steps=7, checkpoint_every=2, keep=keep, saved=lambda index, path: told.append(index))
    job.folder.mkdir()
    (job.folder / ".000000002.safetensors.1.part").write_bytes(b"half")
    train(job)
    assert told == [2, 4, 6, 7]
    assert sorted(path.name for path in job.folder.iterdir()) == [f"{index:09d}.safetensors" for index in kept]


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(make_job: Any) -> None:
    job, _ = climbing(make_job, steps=4, checkpoint_every=2)
    train(job)
    newest = job.folder / "000000004.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    warned: list[str] = []
    again, parts = climbing(make_job, steps=6, warn=warned.append)
    assert train(again).resumed_at == 2
    assert parts["a"].value.item() == 6.0
    assert len(warned) == 1
    assert warned[0].startswith(f"{newest} is damaged (")
    assert warned[0].endswith("; going back to the checkpoint before")


def test_no_usable_checkpoint_starts_from_the_beginning(make_job: Any) -> None:
    job, _ = climbing(make_job, steps=2)
    train(job)
    (job.folder / "000000002.safetensors").write_bytes(b"")
    warned: list[str] = []
    again, parts = climbing(make_job, steps=3, warn=warned.append)
    assert train(again).resumed_at == 0
    assert parts["a"].value.item() == 3.0
    assert warned[-1] == "no checkpoint can be read: training starts from the beginning"


def test_the_checkpoint_of_something_else_is_refused(make_job: Any) -> None:
    job, _ = climbing(make_job, steps=2)
    train(job)
    other = {"b": Number()}
    job = make_job(other, lambda algorithm: [Update("one", ["b"], lambda step: {"loss": other["b"].value})], steps=4)
    with pytest.raises(BrokenState) as caught:
        train(job)
    said = str(caught.value)
    assert said.startswith(f"the checkpoint {job.folder / '000000002.safetensors'} does not belong to this spec: ")
    assert "\n" not in said


def test_a_finished_training_does_nothing(make_job: Any) -> None:
    job, _ = climbing(make_job, steps=3)
    train(job)
    again, parts = climbing(make_job, steps=3)
    assert train(again).resumed_at == 3
    assert parts["a"].value.item() == 3.0


# -- pictures and evaluation -------------------------------------------------------------------------------------------


def test_pictures_and_evaluation_change_no_weight(make_job: Any) -> None:
    told: dict[str, list[Any]] = {"pictures": [], "evaluate": []}

    def run(folder: str, **options: Any) -> tuple[dict[str, Tensor], list[Any]]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))
        network[2].eval()  # a mode of its own, which has to survive
        logged: list[Any] = []

        def updates(algorithm: Any) -> list[Update]:
            algorithm.previews = lambda batch, rng: previews(algorithm, batch, rng)

            def objective(step: Step) -> dict[str, Tensor]:
                network[2].eval()
                return {"loss": network(step.batch["images"].flatten(1) + torch.rand(4, 4)).square().mean()}

            return [Update("one", ["a"], objective)]

        def previews(algorithm: Any, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
            assert not any(module.training for module in algorithm.modules())
            assert not torch.is_grad_enabled()
            noise = torch.rand(2, generator=rng)
            told["pictures"].append((batch["index"].tolist(), noise.tolist(), network(batch["images"].flatten(1))))
            torch.rand(100)
            return {"samples": Preview(batch["images"])}

        def evaluate(index: int, average: Any) -> dict[str, float]:
            told["evaluate"].append(index)
            torch.manual_seed(index)
            return {"metric/x": float(index)}

        job = make_job(
            {"a": network},
            updates,
            steps=6,
            average=(Scheduled(10.0), ["a"]),
            optimizers={"one": Adam(lr=0.1)},
            evaluate=evaluate,
            scalars=lambda index, images, values: logged.append((index, values.get("metric/x"))),
            **options,
        )
        job.folder = job.folder / folder
        train(job)
        return bits(network), logged

    plain, _ = run("plain")
    watched, logged = run("watched", pictures_every=4, evaluate_every=2)
    assert same(plain, watched)
    assert told["evaluate"] == [2, 4]  # the end is measured by whoever finishes the stage
    assert [entry for entry in logged if entry[1] is not None] == [(2, 2.0), (4, 4.0)]
    assert len(told["pictures"]) == 3  # before the first iteration, in the fourth and at the end
    assert all(indices == list(range(12)) for indices, _, _ in told["pictures"])
    assert told["pictures"][0][1] == told["pictures"][1][1] == told["pictures"][2][1]
    assert json.dumps(told["pictures"][0][1]) != "[0.0, 0.0]"
    assert not torch.equal(told["pictures"][0][2], told["pictures"][1][2])
