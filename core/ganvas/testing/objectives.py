"""Conformance of regularizers and augmentations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganvas.kinds.duel import Match
from ganvas.kinds.objectives import Augmentation, Regularizer
from ganvas.registry.bases import BrokenComponent
from ganvas.registry.documents import Mistakes
from ganvas.registry.plugins import Entry
from ganvas.spec.build import fork_random
from ganvas.testing import doubles
from ganvas.testing.probes import options_stay, resumes, seed_everything, seeded_states
from ganvas.testing.suite import Broken, Case, Subject, Suite, skip

__all__ = ["suite"]

suite = Suite("regularizer", "augmentation")
NUMBER = 4
METHOD = {"regularizer": "penalty", "augmentation": "forward"}


def arena(subject: Subject, case: Case, seed: int = 0) -> doubles.Arena:
    """A duel that the component takes part in.

    A regularizer may ask for a player of a certain make, for fakes that are paired with reals, or for codes that only
    fakes have.
    """
    refused = None
    offers = _offers(subject, case)
    for place in range(subject.fitting.get(case, 0), len(offers)):
        player, terms = offers[place]
        try:
            parts: dict[str, Any] = {} if player is None else {player.kind: _built(player, case, seed)}
        except (BrokenComponent, Mistakes, TypeError, ValueError):
            continue
        data = case.data()
        with fork_random(seed):
            if subject.kind == "augmentation":
                parts["augmentation"] = subject.build(case, seed)
            else:
                parts["regularizers"] = [lambda duel: subject.build(case, seed, given=(duel,))]
            try:
                made = doubles.arena(data, case.condition, **terms, **parts)
            except Mistakes as error:
                refused = error
                continue
        subject.fitting[case] = place
        return made.to(case.device)
    raise refused if refused is not None else Broken("no player fits it")


def _offers(subject: Subject, case: Case) -> list[tuple[Entry | None, dict[str, bool]]]:
    """A player (None: two doubles), and how fakes are told what to make: under a condition in three ways."""
    players = [None, *subject.host.entries("generator"), *subject.host.entries("discriminator")]
    ways = [{}] if case.condition is None else [{}, {"paired": True}, {"observed": False}]
    return [(player, way) for player in players for way in ways]


def _built(player: Entry, case: Case, seed: int) -> Any:
    """A player as it is by default."""
    return Subject(f"{player.kind}/{player.plugin}/{player.name}", {}).build(case, seed)


def cases(subject: Subject) -> list[Case]:
    """The cases in which some duel takes it."""
    found = []
    for case in subject.cases():
        for classes in (None, 5) if subject.kind == "regularizer" else (None,):
            tried = Case(case.shape, classes, case.device)
            try:
                arena(subject, tried)
            except Mistakes:
                continue
            except Exception:
                pass  # for the checks to tell
            found.append(tried)
    return found or [Case()]


def match(made: doubles.Arena, side: str, case: Case, index: int = 0) -> Match:
    found = made.match(side, doubles.step(case.data(), NUMBER, index))  # type: ignore[arg-type]
    for regularizer in made.duel.regularizers:
        found.wants |= regularizer.wants  # type: ignore[operator]
    return found


def own(made: doubles.Arena) -> Any:
    return made.duel.regularizers[0]


# -- regularizers ------------------------------------------------------------------------------------------------------


@suite.check(
    "joins names the sides it acts on: on each it has a term or a constraint, or changed the network when it was built",
    "joins, penalty, constrain or prepare",
    "penalty",
    kinds=("regularizer",),
)
def does_something_on_the_sides_it_joins(subject: Subject, case: Case) -> None:
    made = arena(subject, case)
    regularizer = own(made)
    if not regularizer.joins or not regularizer.joins <= {"generator", "discriminator"}:
        raise Broken(f"joins is {set(regularizer.joins)}; it holds 'generator', 'discriminator' or both")
    if not regularizer.wants <= {"real", "fake"}:
        raise Broken(f"wants is {set(regularizer.wants)}; it holds 'real', 'fake' or both")
    others = [
        type(regularizer).constrain is not Regularizer.constrain,
        type(regularizer).prepare is not Regularizer.prepare,
    ]
    for side in sorted(regularizer.joins):
        value = regularizer.penalty(match(made, side, case))
        if value is None:
            if not any(others):
                raise Broken(f"on the {side}'s side there is neither a term nor a constraint")
            continue
        for name, term in value.items() if isinstance(value, dict) else [("the term", value)]:
            if not isinstance(term, Tensor) or term.dim() != 0:
                raise Broken(f"{name} is {getattr(term, 'shape', type(term).__name__)}; a scalar tensor was to come")
            if not term.isfinite():
                raise Broken(f"{name} is {term.item()}")
        grads = _gradients(made, side, value)
        if not any(gradient.any() for gradient in grads):
            # What compares the networks with their past has nothing to say at first: they move, and it is asked again.
            with torch.no_grad():
                for parameter in filter(lambda p: p.requires_grad, made.networks()[side].parameters()):
                    parameter.mul_(1.1)
            grads = _gradients(made, side, regularizer.penalty(match(made, side, case, index=1)))
        if not any(gradient.any() for gradient in grads):
            raise Broken(f"its term has no gradient at the {side}, whose update it joins")
        if not all(gradient.isfinite().all() for gradient in grads):
            raise Broken(f"its gradient at the {side} is infinite or no number")


def _gradients(made: doubles.Arena, side: str, value: Any) -> list[Tensor]:
    """Those of a term, or of several, at what is trained on a side, as far as they reach it."""
    total: Any = sum(value.values()) if isinstance(value, dict) else value
    trained = [p for p in [*made.networks()[side].parameters(), *own(made).parameters()] if p.requires_grad]
    if not isinstance(total, Tensor) or not total.requires_grad:
        return []
    return [gradient for gradient in torch.autograd.grad(total, trained, allow_unused=True) if gradient is not None]


@suite.check(
    "a constraint leaves the weights finite, and holds: applied twice it is applied once",
    "constrain",
    "constrain",
    kinds=("regularizer",),
    varied=False,
)
def its_constraint_holds(subject: Subject, case: Case) -> None:
    made = arena(subject, case)
    regularizer = own(made)
    if type(regularizer).constrain is Regularizer.constrain:
        skip("it has no constraint")
    networks = {"generator": made.duel.generator, "discriminator": made.duel.discriminator}
    states = []
    with torch.no_grad():
        for _ in range(2):
            regularizer.constrain(networks)
            states.append([value.clone() for value in made.state_dict().values() if isinstance(value, Tensor)])
    if not all(value.isfinite().all() for value in states[0] if value.is_floating_point()):
        raise Broken("a weight is infinite or no number after the constraint")
    if not all(torch.allclose(a.float(), b.float(), atol=1e-5) for a, b in zip(*states)):
        raise Broken("the second constraint in a row moves the weights again")


@suite.check(
    "the term of a batch of one is finite", "statistics over the batch", "penalty", kinds=("regularizer",), varied=False
)
def takes_a_batch_of_one(subject: Subject, case: Case) -> None:
    made = arena(subject, case)
    for side in sorted(own(made).joins):
        found = made.match(side, doubles.step(case.data(), 1))
        found.wants |= own(made).wants
        value = own(made).penalty(found)
        for term in value.values() if isinstance(value, dict) else [value]:
            if term is not None and not term.isfinite():
                raise Broken(f"it is {term.item()} for one sample")


@suite.check(
    "under bfloat16 autocast its term is finite",
    "penalties are computed in float32: torch.autocast(..., enabled=False)",
    "penalty",
    kinds=("regularizer",),
    varied=False,
)
def stands_bf16(subject: Subject, case: Case) -> None:
    made = arena(subject, case)
    for side in sorted(own(made).joins):
        with torch.autocast(case.device, torch.bfloat16):
            value = own(made).penalty(match(made, side, case))
        for term in value.values() if isinstance(value, dict) else [value]:
            if term is not None and not term.isfinite():
                raise Broken(f"it is {term.item()} on the {side}'s side")


# -- augmentations -----------------------------------------------------------------------------------------------------


@suite.check(
    "images (N, C, H, W) in [-1, 1] become as many of the same shape, finite, on every side, in a batch of one too",
    "forward",
    "forward",
    kinds=("augmentation",),
)
def keeps_the_shape(subject: Subject, case: Case) -> None:
    made = subject.build(case)
    for side in ("real", "fake", "view"):
        for number in (NUMBER, 1):
            pictures = doubles.images(number, case.shape).to(case.device)
            for seed in range(3):
                changed = made(pictures, side, torch.Generator(case.device).manual_seed(seed))
                if changed.shape != pictures.shape or not changed.is_floating_point():
                    raise Broken(f"{changed.dtype} of shape {tuple(changed.shape)} for images {tuple(pictures.shape)}")
                if not changed.isfinite().all():
                    raise Broken("values that are infinite or no number")


@suite.check(
    "the same rng and seed give the same images",
    "other sources of chance: draw from rng",
    "forward",
    kinds=("augmentation",),
    varied=False,
)
def the_same_seed_gives_the_same(subject: Subject, case: Case) -> None:
    made = subject.build(case)
    pictures = doubles.images(NUMBER, case.shape).to(case.device)
    results = []
    for _ in range(2):
        seed_everything(3)
        results.append(made(pictures, "real", torch.Generator(case.device).manual_seed(3)))
    if not torch.equal(*results):
        raise Broken("two calls under one seed differ")
    if made.identity and not torch.equal(results[0], pictures):
        raise Broken("identity is True, but the images change")


@suite.check(
    "a differentiable augmentation passes gradients to the images",
    "detach, rounding, or differentiable should be False",
    "forward",
    kinds=("augmentation",),
)
def gradients_pass(subject: Subject, case: Case) -> None:
    made = subject.build(case)
    if not made.differentiable:
        skip("it does not claim to be differentiable")
    pictures = doubles.images(8, case.shape).to(case.device).requires_grad_(True)
    changed = made(pictures, "fake", torch.Generator(case.device).manual_seed(1))
    if not changed.requires_grad:
        raise Broken("what comes out has no gradient")
    changed.square().sum().backward()
    assert pictures.grad is not None
    if not pictures.grad.any() or not pictures.grad.isfinite().all():
        raise Broken("the gradient at the images is zero, infinite or no number")


@suite.check(
    "mix says of each real whether a fake takes its place, True or False, and leaves both batches alone",
    "mix",
    "mix",
    kinds=("augmentation",),
    varied=False,
)
def mixing_chooses_reals(subject: Subject, case: Case) -> None:
    made = subject.build(case)
    if type(made).mix is Augmentation.mix:
        skip("it does not mix")
    real, fake = (doubles.images(NUMBER, case.shape, seed).to(case.device) for seed in (1, 2))
    kept = real.clone(), fake.clone()
    mixed = made.mix(real, fake, torch.Generator(case.device).manual_seed(0))
    if mixed is not None and (mixed.shape != real.shape[:1] or mixed.dtype != torch.bool):
        raise Broken(f"it is {mixed.dtype} {tuple(mixed.shape)}; bool {(len(real),)} was to come")
    if not torch.equal(kept[0], real) or not torch.equal(kept[1], fake):
        raise Broken("a batch is changed in place")


# -- both --------------------------------------------------------------------------------------------------------------


def _run(subject: Subject, case: Case) -> Any:
    if subject.kind == "augmentation":
        pictures = doubles.images(NUMBER, case.shape).to(case.device)
        return subject.build(case)(pictures, "real", torch.Generator(case.device).manual_seed(0))
    made = arena(subject, case)
    return [own(made).penalty(match(made, side, case)) for side in sorted(own(made).joins)]


@suite.check(
    "the images stay as they are: other parts use the same batch", "operations ending in _", METHOD, varied=False
)
def leaves_its_inputs_alone(subject: Subject, case: Case) -> None:
    if subject.kind == "augmentation":
        pictures = doubles.images(NUMBER, case.shape).to(case.device)
        kept = pictures.clone()
        for seed in range(3):
            subject.build(case)(pictures, "real", torch.Generator(case.device).manual_seed(seed))
        if not torch.equal(kept, pictures):
            raise Broken("the images are changed in place")
        return
    made = arena(subject, case)
    for side in sorted(own(made).joins):
        found = match(made, side, case)
        kept = {name: value.clone() for name, value in found.step.batch.items()}
        scores = {which: found.critique(which).scores.detach().clone() for which in ("real", "fake")}
        own(made).penalty(found)
        if not all(torch.equal(value, found.step.batch[name]) for name, value in kept.items()):
            raise Broken("the batch is changed in place")
        if not all(torch.equal(value, found.critique(which).scores) for which, value in scores.items()):
            raise Broken("the scores are changed in place")


@suite.check(
    "nobody but the engine seeds the global generators (torch's, numpy's, Python's)",
    "manual_seed, numpy.random.seed or random.seed",
    METHOD,
    varied=False,
)
def leaves_the_seeds_alone(subject: Subject, case: Case) -> None:
    if subject.kind == "augmentation":
        seeded_states(lambda: _run(subject, case))
        return
    made = arena(subject, case)  # whose weights are drawn under seeds of their own
    seeded_states(lambda: [own(made).penalty(match(made, side, case)) for side in sorted(own(made).joins)])


@suite.check("the options stay as they were given", "pop, append or assignments on a list or dict option", varied=False)
def leaves_its_options_alone(subject: Subject, case: Case) -> None:
    options_stay(subject, lambda: _run(subject, case))


@suite.check(
    "it trains in a duel, and a training that was stopped and goes on ends with the same bits",
    "what changes while training has to be a parameter, a buffer or in get_extra_state",
    varied=False,
)
def trains_and_resumes(subject: Subject, case: Case) -> None:
    if subject.kind == "augmentation" and not subject.build(case).differentiable:
        skip("it cannot stand before a discriminator")
    resumes(lambda seed: arena(subject, case, seed))
