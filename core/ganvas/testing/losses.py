"""Conformance of losses."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from ganvas.kinds.algorithm import Step
from ganvas.kinds.records import Critique
from ganvas.registry.bases import BrokenComponent
from ganvas.spec.build import fork_random
from ganvas.testing import doubles
from ganvas.testing.doubles import FEATURES
from ganvas.testing.probes import follows_devices, options_stay, resumes, seeded_states
from ganvas.testing.suite import CLASSES, Broken, Case, Subject, Suite, skip

__all__ = ["suite"]

suite = Suite("loss")
SIDES = ("discriminator", "generator")
NUMBER = 6


def critique(scores: Tensor, loss: Any, host: Any, seed: int = 0, *, learning: bool = False) -> Critique:
    """A critique with these scores (N, *S), and features, layers, a class and a step to match.

    A head that gives what the loss needs makes these fields of the features.

    Args:
        learning: the features and the layers ask for gradients.
    """
    rng = torch.Generator().manual_seed(seed)
    number, places = len(scores), scores.shape[1:]

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng).to(scores)

    # The same at every place, as the scores are where patches are compared with single scores.
    features = drawn(number, FEATURES).view(number, FEATURES, *[1] * len(places)).expand(-1, -1, *places).contiguous()
    layers = {"first": drawn(number, 4, 6, 6), **{name: drawn(number, 4, 6, 6) for name in loss.layers}}
    for value in (features, *layers.values()):
        value.requires_grad_(learning)
    condition, fields = None, {}
    if loss.needs:
        head, shape = _head(loss.needs, host)
        condition = torch.eye(CLASSES).to(scores)[torch.arange(number) % CLASSES] if shape is not None else None
        fields = head.to(scores)(features, condition).fields
    return Critique(
        scores, features, {**layers, "second": features}, condition, drawn(number, 1, 8, 8), _step(scores), **fields
    )


def _step(scores: Tensor) -> Step:
    """A moment halfway through a training: what is scheduled has moved."""
    return Step(
        index=50,
        size=len(scores),
        steps=100,
        device=scores.device,
        rng=torch.Generator(scores.device).manual_seed(0),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )


def _head(needs: frozenset[str], host: Any) -> tuple[Any, tuple[int, ...] | None]:
    """A head, of any plugin, that gives what a loss needs, and the shape of the condition that it was built for.

    The same weights each time: one head judges the reals and the fakes.
    """
    for entry in host.entries("head"):
        try:
            found = host.resolve(entry)
        except BrokenComponent:
            continue
        for condition in (None, (CLASSES,)) if needs <= found.gives else ():
            try:
                with fork_random(0):
                    return found(FEATURES, condition), condition
            except (TypeError, ValueError):  # it has options to be given, or cannot do without a condition
                continue
    raise Broken(f"it needs {', '.join(sorted(needs))}, which no installed head gives")


def terms(loss: Any, side: str, real: Critique, fake: Critique) -> Tensor:
    """The sum of one side's terms."""
    value = loss.discriminator(real, fake) if side == "discriminator" else loss.generator(fake, real)
    named = value if isinstance(value, dict) else {"adversarial": value}
    for name, term in named.items():
        if not isinstance(term, Tensor) or term.dim() != 0:
            raise Broken(f"{side}() gives {_shown(term)} for {name!r}; a scalar tensor was to come")
    if not named:
        raise Broken(f"{side}() gives no term at all")
    return torch.stack(
        [term.double() if term.dtype == torch.float64 else term.float() for term in named.values()]
    ).sum()


def _shown(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def both(subject: Subject, case: Case, real: Tensor, fake: Tensor) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Side -> value, gradient at the real scores, gradient at the fake scores."""
    loss = subject.build(case)
    found = {}
    for side in SIDES:
        scores = [real.to(case.device).clone().requires_grad_(True), fake.to(case.device).clone().requires_grad_(True)]
        value = terms(
            loss, side, critique(scores[0], loss, subject.host, 1), critique(scores[1], loss, subject.host, 2)
        )
        grads: Any = torch.autograd.grad(value, scores, allow_unused=True) if value.requires_grad else (None, None)
        zeros = [torch.zeros_like(score) if grad is None else grad for score, grad in zip(scores, grads)]
        found[side] = (value.detach(), *zeros)
    return found


@suite.check(
    "the terms and their gradients are finite for scores of up to ±10,000",
    "log of a sigmoid, or exp: use softplus of the logits",
    "discriminator",
)
def finite_on_extreme_scores(subject: Subject, case: Case) -> None:
    for size in (100.0, 10_000.0):
        for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            real, fake = (torch.full((NUMBER,), sign * size) for sign in signs)
            for side, (value, *gradients) in both(subject, case, real, fake).items():
                said = f"for real scores of {signs[0] * size:,.0f} and fake scores of {signs[1] * size:,.0f}"
                if not value.isfinite():
                    raise Broken(f"{side}() is {value.item()} {said}")
                if not all(gradient.isfinite().all() for gradient in gradients):
                    raise Broken(f"the gradient of {side}() is infinite or no number {said}")


@suite.check(
    "descending the loss raises the real and lowers the fake scores for the discriminator, and raises the fake ones "
    "for the generator, where the other side is ahead",
    "a sign, or a detach()",
    "discriminator",
)
def gradients_have_the_right_sign(subject: Subject, case: Case) -> None:
    spread = torch.linspace(-0.2, 0.2, NUMBER)
    # The discriminator is wrong, and then the generator is beaten: both have to move.
    wrong, beaten = (spread - 2, spread + 2), (spread + 2, spread - 2)
    _, real, fake = both(subject, case, *wrong)["discriminator"]
    if not real.any() and not fake.any() and not _learns(subject, case, "discriminator"):
        raise Broken("discriminator() has no gradient: neither at scores nor at features nor at layers")
    if (real > 0).any():
        raise Broken(f"descending discriminator() lowers real scores (gradient {real.max():.3g} at scores near -2)")
    if (fake < 0).any():
        raise Broken(f"descending discriminator() raises fake scores (gradient {fake.min():.3g} at scores near 2)")
    _, _, fake = both(subject, case, *beaten)["generator"]
    if (fake > 0).any():
        raise Broken(f"descending generator() lowers fake scores (gradient {fake.max():.3g} at scores near -2)")
    if not fake.any() and not _learns(subject, case, "generator"):
        raise Broken("generator() has no gradient at the fakes: neither at scores nor at features nor at layers")


def _learns(subject: Subject, case: Case, side: str) -> bool:
    """Whether a side has a gradient at the features or the layers of the fakes."""
    loss = subject.build(case)
    real = critique(torch.ones(NUMBER, device=case.device), loss, subject.host, 1)
    fake = critique(torch.zeros(NUMBER, device=case.device), loss, subject.host, 2, learning=True)
    value = terms(loss, side, real, fake)
    leaves = [fake.features, *(layer for name, layer in fake.layers.items() if name != "second")]
    grads = torch.autograd.grad(value, leaves, allow_unused=True) if value.requires_grad else ()  # type: ignore[arg-type]
    return any(grad is not None and bool(grad.any()) for grad in grads)


@suite.check(
    "scores per patch (N, H, W) count as their mean: repeating a sample's score over patches changes nothing",
    "a sum over patches, or a mean over dimension 0 only",
    "discriminator",
)
def patches_are_averaged(subject: Subject, case: Case) -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, NUMBER, generator=rng).unbind(0)
    plain = both(subject, case, real, fake)
    patches = both(subject, case, real.view(-1, 1, 1).expand(-1, 3, 5), fake.view(-1, 1, 1).expand(-1, 3, 5))
    for side in SIDES:
        one, many = plain[side], patches[side]
        if not torch.allclose(one[0], many[0], rtol=1e-4, atol=1e-5):
            raise Broken(
                f"{side}() is {one[0].item():.5g} for scores (N,), {many[0].item():.5g} for the same as (N, 3, 5)"
            )
        for whose, at, spread in zip(("real", "fake"), one[1:], many[1:]):
            if not torch.allclose(at, spread.sum((1, 2)), rtol=1e-3, atol=1e-5):
                raise Broken(f"the gradient of {side}() at the {whose} scores is another for (N, 3, 5) than for (N,)")


@suite.check(
    "scores (N, 1) mean what scores (N,) mean",
    "an operation between (N, 1) and (N,), which gives (N, N)",
    "discriminator",
)
def a_column_is_a_row(subject: Subject, case: Case) -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, NUMBER, generator=rng).unbind(0)
    plain, column = both(subject, case, real, fake), both(subject, case, real[:, None], fake[:, None])
    for side in SIDES:
        if not torch.allclose(plain[side][0], column[side][0], rtol=1e-4, atol=1e-5):
            raise Broken(f"{side}() is {plain[side][0].item():.5g} for (N,), {column[side][0].item():.5g} for (N, 1)")


@suite.check("a batch of one gives a finite scalar", "statistics over the batch", "discriminator")
def takes_a_batch_of_one(subject: Subject, case: Case) -> None:
    for side, (value, *_) in both(subject, case, torch.tensor([0.3]), torch.tensor([-0.2])).items():
        if not value.isfinite():
            raise Broken(f"{side}() is {value.item()} for one sample")


@suite.check(
    "its gradients are those of its values (float64, against finite differences)",
    "a detached factor, an in-place change, a custom backward",
    "discriminator",
    varied=False,
)
def gradients_are_right(subject: Subject, case: Case) -> None:
    loss = subject.build(case).double()
    rng = torch.Generator().manual_seed(4)
    real, fake = torch.randn(2, NUMBER, generator=rng, dtype=torch.float64).unbind(0)
    for side in SIDES:

        def value(real: Tensor, fake: Tensor, side: str = side) -> Tensor:
            return terms(loss, side, critique(real, loss, subject.host, 1), critique(fake, loss, subject.host, 2))

        leaves = (real.clone().requires_grad_(True), fake.clone().requires_grad_(True))
        made = value(*leaves)
        if not made.requires_grad:
            continue  # it learns from features alone
        if made.dtype != torch.float64:
            raise Broken(f"{side}() is {made.dtype} for float64 scores: something in it is cast")
        used = torch.autograd.grad(made, leaves, allow_unused=True)
        if all(gradient is None for gradient in used):
            continue
        try:
            torch.autograd.gradcheck(value, leaves)
        except RuntimeError as error:
            raise Broken(f"{side}(): {' '.join(str(error).split())[:300]}") from error


@suite.check("the critiques stay as they are", "operations ending in _", "discriminator", varied=False)
def leaves_its_inputs_alone(subject: Subject, case: Case) -> None:
    loss = subject.build(case)
    scores = torch.linspace(-1, 1, NUMBER)
    for side in SIDES:
        real, fake = critique(scores.clone(), loss, subject.host, 1), critique(-scores, loss, subject.host, 2)
        kept = [(c.scores.clone(), c.features.clone(), c.layers["first"].clone()) for c in (real, fake)]  # type: ignore[union-attr]
        terms(loss, side, real, fake)
        for whose, judged, before in zip(("real", "fake"), (real, fake), kept):
            now = (judged.scores, judged.features, judged.layers["first"])
            if not all(torch.equal(a, b) for a, b in zip(before, now)):  # type: ignore[arg-type]
                raise Broken(f"{side}() changes the {whose} critique in place")


@suite.check(
    "nobody but the engine seeds the global generators (torch's, numpy's, Python's)",
    "manual_seed, numpy.random.seed or random.seed",
    "discriminator",
    varied=False,
)
def leaves_the_seeds_alone(subject: Subject, case: Case) -> None:
    seeded_states(lambda: both(subject, case, torch.ones(NUMBER), -torch.ones(NUMBER)))


@suite.check("the options stay as they were given", "pop, append or assignments on a list or dict option", varied=False)
def leaves_its_options_alone(subject: Subject, case: Case) -> None:
    options_stay(subject, lambda: both(subject, case, torch.ones(NUMBER), -torch.ones(NUMBER)))


@suite.check(
    "it works where the scores are: no device is written down",
    'tensors made without device=..., "cuda" or "cpu" in the code; constants belong in register_buffer',
    "discriminator",
    varied=False,
)
def follows_its_inputs_to_their_device(subject: Subject, case: Case) -> None:
    for side in SIDES:
        loss = subject.build(case)
        judged = [critique(torch.linspace(-1, 1, NUMBER), loss, subject.host, seed) for seed in (1, 2)]
        moved = [_moved(one) for one in judged]
        follows_devices(functools.partial(_named_terms, loss.to("meta"), side, *moved))


def _moved(judged: Critique) -> Critique:
    def moved(value: Any) -> Any:
        return value.to("meta") if isinstance(value, Tensor) else value

    fields = {name: moved(value) for name, value in judged.fields.items()}
    layers = {name: moved(value) for name, value in judged.layers.items()}
    condition, samples = moved(judged.condition), moved(judged.samples)
    return Critique(moved(judged.scores), layers["second"], layers, condition, samples, judged.step, **fields)


def _named_terms(loss: Any, side: str, real: Critique, fake: Critique) -> dict[str, Tensor]:
    return {f"terms of {side}()": terms(loss, side, real, fake)}


@suite.check(
    "under bfloat16 autocast, with features in bfloat16, its terms are finite and near those of float32",
    "differences of large numbers: compute in float32",
    "discriminator",
    varied=False,
)
def stands_bf16(subject: Subject, case: Case) -> None:
    loss = subject.build(case)
    scores = torch.linspace(-3, 3, NUMBER, device=case.device)
    for side in SIDES:
        results = []
        for short in (False, True):
            judged = [critique(s, loss, subject.host, seed) for s, seed in ((scores, 1), (-scores, 2))]
            if short:
                for one in judged:
                    one.layers = {name: value.bfloat16() for name, value in one.layers.items()}
                    one.features = one.layers["second"]
            with torch.autocast(case.device, torch.bfloat16, enabled=short):
                results.append(terms(loss, side, *judged).detach())
        plain, less = results
        if not less.isfinite() or (plain - less).abs() > 0.05 * (1 + plain.abs()):
            raise Broken(f"{side}() is {less.item():.5g} under bfloat16, {plain.item():.5g} in float32")


@suite.check(
    "parameters of its own get a gradient in the update that it names (`trained_in`)",
    "a network that the named side's terms do not use",
    "discriminator",
    varied=False,
)
def its_own_network_learns(subject: Subject, case: Case) -> None:
    loss = subject.build(case)
    own = dict(loss.named_parameters())
    if not own:
        skip("it has no parameters")
    side = loss.trained_in
    judged = [critique(torch.full((NUMBER,), size), loss, subject.host, seed) for seed, size in ((1, 0.0), (2, 1.0))]
    value = terms(loss, side, *judged)
    if value.requires_grad:
        value.backward()
    lacking = [name for name, parameter in own.items() if parameter.grad is None]
    if lacking:
        raise Broken(f"in {side}() no gradient reaches {', '.join(lacking)}")


@suite.check(
    "it trains a duel, and a training that was stopped and goes on ends with the same bits",
    "what changes while training has to be a parameter, a buffer or in get_extra_state",
    varied=False,
)
def trains_and_resumes(subject: Subject, case: Case) -> None:
    loss = subject.build(case)
    head, condition = _head(loss.needs, subject.host) if loss.needs else (None, None)

    def make(seed: int) -> doubles.Arena:
        data = case.data()
        with fork_random(seed):
            discriminator = doubles.Discriminator(data.shape, condition, head=type(head) if head else doubles.Head)  # type: ignore[arg-type]
            discriminator.layers = tuple(loss.layers) or discriminator.layers
            return doubles.arena(data, condition, loss=subject.build(case, seed), discriminator=discriminator)

    resumes(make)
