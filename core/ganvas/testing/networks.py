"""Conformance of every kind of network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.kinds.networks import Discriminator, Encoder, Generator
from ganvas.kinds.options import Trained
from ganvas.kinds.records import Critique, Generated
from ganvas.testing import doubles
from ganvas.testing.doubles import FEATURES
from ganvas.testing.probes import (
    follows_devices,
    hidden,
    listed,
    options_stay,
    resumes,
    seed_everything,
    seeded_states,
    tensors_of,
)
from ganvas.testing.suite import CLASSES, Broken, Case, Subject, Suite, skip

__all__ = ["suite"]

suite = Suite("generator", "translator", "discriminator", "head", "backbone", "encoder", "classifier", "extractor")
TRAINABLE = tuple(kind for kind in suite.kinds if kind != "extractor")
NUMBER = 4
PLACES = (4, 6)  # of the maps that heads are given
METHOD = {"encoder": "encode"}
PLAYERS = {"generator": "generator", "discriminator": "discriminator", "head": "discriminator"}  # kind -> side


@dataclass
class Call:
    """One way of calling a network.

    Attributes:
        inputs: what is handed over, by name. ``outputs``: inputs -> what comes back, by name.
        main: the output that counts. ``source``: the input that it is made of.
    """

    inputs: dict[str, Tensor | None]
    outputs: Callable[[Mapping[str, Tensor | None]], dict[str, Tensor]]
    main: str
    source: str

    def __call__(self, **changed: Tensor | None) -> dict[str, Tensor]:
        return self.outputs({**self.inputs, **changed})

    @property
    def result(self) -> Tensor:
        return self()[self.main]


def call(subject: Subject, network: Any, case: Case, number: int = NUMBER, seed: int = 1) -> Call:
    """A call of a network with inputs of its kind; rows have different conditions."""
    condition = None
    if case.classes is not None:
        condition = torch.eye(case.classes, device=case.device)[(torch.arange(number) + seed) % case.classes]
    pictures = doubles.images(number, case.shape, seed).to(case.device)
    rng = torch.Generator().manual_seed(seed)
    match subject.kind:
        case "generator":
            latents = network.latents.sample(number, rng).to(case.device)
            return Call(
                {"latents": latents, "condition": condition}, lambda given: _made(network, given), "samples", "latents"
            )
        case "translator":
            return Call(
                {"images": pictures, "condition": condition},
                lambda given: {"images": network(given["images"], given["condition"])},
                "images",
                "images",
            )
        case "discriminator":
            return Call(
                {"samples": pictures, "condition": condition},
                lambda given: _judged(network(given["samples"], given["condition"])),
                "scores",
                "samples",
            )
        case "head":
            features = torch.randn(number, FEATURES, *PLACES, generator=rng).to(case.device)
            return Call(
                {"features": features, "condition": condition},
                lambda given: _judged(network(given["features"], given["condition"])),
                "scores",
                "features",
            )
        case "encoder":
            inputs: dict[str, Tensor | None] = {"images": pictures}
            for index, _ in enumerate(network.views):
                inputs[f"view{index}"] = doubles.images(number, case.shape, seed + index).to(case.device)
            fields = next(case.data().batches(number))
            inputs |= {name: fields[name] for name in network.needs}
            return Call(inputs, lambda given: _encoded(network, given), "features", "images")
        case "classifier":
            return Call({"images": pictures}, lambda given: {"logits": network(given["images"])}, "logits", "images")
    return Call({"images": pictures}, lambda given: {"features": network(given["images"])}, "features", "images")


def _made(network: Any, given: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    made = network(given["latents"], given["condition"])
    return {"samples": made.samples, **made.fields} if isinstance(made, Generated) else {"samples": made}


def _judged(critique: Any) -> dict[str, Tensor]:
    if not isinstance(critique, Critique):
        raise Broken(f"forward returned a {type(critique).__name__}, not a ganvas.Critique")
    fields = {name: value for name, value in critique.fields.items() if isinstance(value, Tensor)}
    return {"scores": critique.scores, **fields}


def _encoded(network: Encoder, given: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    features = network.encode(given["images"])  # type: ignore[arg-type]
    if not network.training:
        return {"features": features}
    views = [value for name, value in given.items() if name.startswith("view")]
    fields = {name: given[name] for name in network.needs}
    return {"features": features, **network.objective(*views, **fields)}  # type: ignore[arg-type]


# -- shapes ------------------------------------------------------------------------------------------------------------


@suite.check("what comes out has the shape and the type that the kind's contract says", "the last layer", METHOD)
def gives_what_its_contract_says(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    for training in (True, False):
        network.train(training)
        made = call(subject, network, case)()
        expect_shapes(subject, network, case, made, NUMBER)


def expect_shapes(subject: Subject, network: Any, case: Case, made: Mapping[str, Tensor], number: int) -> None:
    """Raises ``Broken`` unless the outputs are shaped, typed and bounded as the contract says."""
    expected: dict[str, tuple[int, ...]] = {
        "generator": (number, *case.shape),
        "translator": (number, *case.shape),
        "backbone": (number, getattr(network, "features", -1)),
        "encoder": (number, getattr(network, "features", -1)),
        "extractor": (number, getattr(network, "features", -1)),
        "classifier": (number, case.classes or CLASSES),
    }
    name, main = next(iter(made.items()))
    if subject.kind in expected and tuple(main.shape) != expected[subject.kind]:
        raise Broken(f"{name} of shape {tuple(main.shape)}, where {expected[subject.kind]} was to come")
    if subject.kind in ("discriminator", "head") and (main.dim() < 1 or len(main) != number):
        raise Broken(f"scores of shape {tuple(main.shape)} for {number} samples; (N, *S) was to come")
    # A window that spans several places may leave a few scores less.
    if subject.kind == "head" and (main.dim() != 3 or any(a > b for a, b in zip(main.shape[1:], PLACES))):
        maps, wanted = ((number, *sizes) for sizes in ((FEATURES, *PLACES), PLACES))
        raise Broken(f"scores of shape {tuple(main.shape)} for features {maps}; {wanted} was to come")
    for name, value in made.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise Broken(f"{name} has values that are infinite or no number")
    if not main.is_floating_point():
        raise Broken(f"{name} of type {main.dtype}; a float was to come")
    # A generator whose last layer is linear holds the range in eval mode only.
    held = subject.kind == "translator" or (subject.kind == "generator" and not network.training)
    if held and main.abs().max() > 1 + 1e-4:
        raise Broken(f"values up to {main.abs().max():.3g}; samples lie in [-1, 1] (end in a tanh, say)")
    if subject.kind == "generator" and tuple(network.sample_shape) != case.shape:
        raise Broken(f"sample_shape is {tuple(network.sample_shape)}, the shape asked for is {case.shape}")
    lacking = sorted(set(getattr(network, "gives", ())) - set(made)) if subject.kind == "head" else []
    if lacking:
        raise Broken(f"gives promises {', '.join(lacking)}, but its critiques do not carry them")


@suite.check("a batch of one sample works, in training and in eval mode", "statistics over the batch", METHOD)
def takes_a_batch_of_one(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    # The objectives of encoders and the statistics of large networks need more than one sample to learn from.
    for training in (True, False) if subject.kind in ("generator", "translator", "discriminator", "head") else (False,):
        network.train(training)
        expect_shapes(subject, network, case, call(subject, network, case, number=1)(), 1)


@suite.check(
    "its critiques carry exactly the layers that `layers` names, in that order, each (N, F, *S)",
    "critique.layers, or `layers`, which has to be known once it is built",
    "forward",
    kinds=("discriminator",),
    varied=False,
)
def carries_the_layers_it_names(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    given = call(subject, network, case).inputs
    for training in (True, False):
        carried = network.train(training)(given["samples"], given["condition"]).layers
        if list(carried) != list(network.layers):
            raise Broken(
                f"its critiques carry {', '.join(carried) or 'no layers'}, `layers` names "
                f"{', '.join(network.layers) or 'none'}"
            )
        for name, value in carried.items():
            if value.dim() < 2 or len(value) != NUMBER:
                raise Broken(f"the layer {name} has the shape {tuple(value.shape)}; ({NUMBER}, F, *S) was to come")


@suite.check("scores come once per sample for flat features (N, F)", "forward", "forward", kinds=("head",))
def takes_flat_features(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    given = call(subject, network, case)
    flat = torch.randn(NUMBER, FEATURES, generator=torch.Generator().manual_seed(0)).to(case.device)
    try:
        scores = given(features=flat)["scores"]
    except RuntimeError as error:
        if isinstance(next(network.children(), None), nn.Conv2d):
            skip(f"its window is for maps: {error}")
        raise
    if tuple(scores.shape) != (NUMBER,):
        raise Broken(
            f"scores of shape {tuple(scores.shape)} for features {(NUMBER, FEATURES)}; {(NUMBER,)} was to come"
        )


@suite.check(
    "a classifier takes the features of an encoder (N, F) too",
    "flatten",
    "forward",
    kinds=("classifier",),
    varied=False,
)
def classifies_features(subject: Subject, case: Case) -> None:
    network = subject.build(case, given=((FEATURES,), CLASSES))
    logits = network(torch.randn(NUMBER, FEATURES, device=case.device))
    if tuple(logits.shape) != (NUMBER, CLASSES):
        raise Broken(f"logits of shape {tuple(logits.shape)}; {(NUMBER, CLASSES)} was to come")


@suite.check(
    "feature_maps gives named maps (N, F, H, W), from the finest to the coarsest, or raises NotImplementedError",
    "the order of the maps",
    "feature_maps",
    kinds=("backbone",),
)
def maps_go_from_fine_to_coarse(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    try:
        maps = network.feature_maps(doubles.images(2, case.shape).to(case.device))
    except NotImplementedError:
        skip("it offers no feature maps")
    sizes = [tuple(value.shape) for value in maps.values()]
    if not maps or any(len(size) != 4 or size[0] != 2 for size in sizes):
        raise Broken(f"maps of shapes {sizes}")
    if any(later[2] > earlier[2] for earlier, later in itertools.pairwise(sizes)):
        raise Broken(f"maps of shapes {sizes}: a later one is finer")
    if network.layers and list(maps) != list(network.layers):
        raise Broken(
            f"maps named {', '.join(maps)}, while layers says {', '.join(network.layers) or 'that there are none'}"
        )


@suite.check(
    "feature_maps(images, layers) gives the maps that are named, the same as among all, and refuses unknown names",
    "named_layers, which looks the names up",
    "feature_maps",
    kinds=("backbone",),
    varied=False,
)
def maps_can_be_chosen(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    if not network.layers:
        skip("it names no layers to choose from")
    pictures = doubles.images(2, case.shape).to(case.device)
    maps = network.feature_maps(pictures)
    for name in maps:
        chosen = network.feature_maps(pictures, [name])
        if list(chosen) != [name]:
            raise Broken(f"maps named {', '.join(chosen)} when {name} was asked for")
        if not torch.equal(chosen[name], maps[name]):
            raise Broken(f"the map {name} differs when it is asked for alone")
    try:
        network.feature_maps(pictures, ["no such layer"])
    except ValueError:
        return
    raise Broken("a layer that does not exist is asked for, and no ValueError is raised")


@suite.check(
    "it can be built on the meta device, with the same parameters: `ganvas check` does", "numbers read from tensors"
)
def builds_without_memory(subject: Subject, case: Case) -> None:
    with torch.device("meta"):
        empty = subject.build(case)
    made = subject.build(case, prepared=False)
    there = {name: tuple(value.shape) for name, value in empty.state_dict().items() if isinstance(value, Tensor)}
    here = {name: tuple(value.shape) for name, value in made.state_dict().items() if isinstance(value, Tensor)}
    if there != here:
        raise Broken(f"on the meta device it has {_unlike(there, here)}")


# -- randomness and state ----------------------------------------------------------------------------------------------


@suite.check(
    "the same seed gives the same numbers: draws come from torch's default generator", "other sources of chance", METHOD
)
def the_same_seed_gives_the_same(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    given = call(subject, network, case)
    results = []
    for _ in range(2):
        seed_everything(7)
        with torch.no_grad():
            results.append(given.result)
    if not torch.equal(*results):
        raise Broken(f"two calls under one seed differ by up to {(results[0] - results[1]).abs().max():.3g}")


@suite.check(
    "nobody but the engine seeds the global generators (torch's, numpy's, Python's)",
    "manual_seed, numpy.random.seed or random.seed; draw from torch's default generator, which the engine has seeded",
    METHOD,
    varied=False,
)
def leaves_the_seeds_alone(subject: Subject, case: Case) -> None:
    def run() -> None:
        call(subject, subject.build(case), case)()

    seeded_states(run)


@suite.check("what is handed over stays as it is: other parts use the same batch", "operations ending in _", METHOD)
def leaves_its_inputs_alone(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    given = call(subject, network, case)
    kept = {name: value.clone() for name, value in given.inputs.items() if value is not None}
    given()
    for name, value in kept.items():
        if not torch.equal(value, given.inputs[name]):  # type: ignore[arg-type]
            raise Broken(f"the {name} are changed in place")


@suite.check(
    "in eval mode nothing changes: no parameter, no buffer, to the bit",
    "buffers updated without `if self.training`",
    METHOD,
)
def eval_changes_nothing(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    kept = {name: value.clone() for name, value in tensors_of(network).items()}
    with torch.no_grad():
        call(subject, network, case)()
    for name, value in tensors_of(network).items():
        if name not in kept or not torch.equal(value, kept[name]):
            raise Broken(f"{name} changed in eval mode")


@suite.check(
    "all that its outputs depend on is in its state_dict: a fresh one with the state of another gives the same",
    "tensors and networks in plain attributes, lists or dicts: use register_buffer, nn.ModuleList, nn.ModuleDict",
    varied=False,
)
def its_state_says_everything(subject: Subject, case: Case) -> None:
    made, other = subject.build(case, seed=0), subject.build(case, seed=1)
    seed_everything(3)
    call(subject, made, case)()  # a step of training mode moves its statistics
    other.load_state_dict(made.state_dict())
    given = call(subject, made, case)
    for training in (False, True):
        results = []
        for network in (made, other):
            network.train(training)
            seed_everything(5)
            results.append(call(subject, network, case).outputs(given.inputs)[given.main])
        if not torch.equal(*results):
            kept = hidden(made)
            names = f"; outside the state are {', '.join(kept)}" if kept else ""
            mode = "training" if training else "eval"
            raise Broken(f"with the same state, two instances give other {given.main} in {mode} mode{names}")


@suite.check(
    "the options stay as they were given: many builds share them", "pop, append or assignments on a list or dict option"
)
def leaves_its_options_alone(subject: Subject, case: Case) -> None:
    options_stay(subject, lambda: call(subject, subject.build(case), case)())


# -- gradients ---------------------------------------------------------------------------------------------------------


@suite.check(
    "gradients pass through it, to its input and to every parameter",
    "detach(), no_grad(), .data, numpy, or a layer that forward does not use",
    {"encoder": "objective"},
    kinds=TRAINABLE,
)
def gradients_reach_everything(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    given = call(subject, network, case)
    # An encoder learns through its views.
    sources = [name for name in given.inputs if name.startswith("view")] or [given.source]
    leaves = {name: _leaf(given.inputs[name]) for name in sources}
    made = given(**leaves)
    learned = {name: value for name, value in made.items() if subject.kind != "encoder" or name != given.main}
    if not learned:
        skip("it has no objective: there is nothing to learn")
    total = _weighed(learned)
    if not total.requires_grad:
        raise Broken("nothing that comes out depends on anything by a gradient")
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    total.backward()
    if all(leaf.grad is None or not leaf.grad.any() for leaf in leaves.values()):
        raise Broken(f"no gradient reaches the {' and '.join(sources)}")
    if subject.kind in PLAYERS:  # what learns from its own terms alone has to do so in its own update
        _descend(added(arena(network, case), PLAYERS[subject.kind], case))
    lacking = [name for name, p in network.named_parameters() if p.grad is None and name not in frozen]
    if lacking:
        raise Broken(f"no gradient reaches {listed(lacking)}")
    wrong = [n for n, p in network.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if wrong:
        raise Broken(f"the gradient of {listed(wrong)} is infinite or no number")


@suite.check(
    "it can be differentiated twice: gradient penalties do",
    "operations without a second derivative, in-place changes of what was saved for the backward pass",
    "forward",
    kinds=("discriminator", "head"),
)
def gradients_have_gradients(subject: Subject, case: Case) -> None:
    network = subject.build(case)
    given = call(subject, network, case)
    leaf = _leaf(given.inputs[given.source])
    scores = given(**{given.source: leaf})["scores"]
    (gradient,) = torch.autograd.grad(scores.sum(), leaf, create_graph=True)
    penalty = gradient.flatten(1).square().sum(1).mean()
    if penalty.requires_grad:  # a linear score has a constant gradient
        penalty.backward()
    wrong = [n for n, p in network.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if wrong:
        raise Broken(f"the second derivative at {listed(wrong)} is infinite or no number")


# -- terms of its own, in a duel ---------------------------------------------------------------------------------------


def arena(network: Any, case: Case) -> doubles.Arena:
    """A duel that a generator, a discriminator or a head takes part in; nobody minds what the loss needs."""
    parts: dict[str, Any] = {}
    if isinstance(network, Generator):
        parts["generator"] = network
    elif isinstance(network, Discriminator):
        parts["discriminator"] = network
    else:
        given: Any = lambda *_: network  # noqa: E731
        parts["discriminator"] = doubles.Discriminator(case.shape, case.condition, head=given)
    loss = doubles.Loss()
    head = getattr(parts.get("discriminator"), "head", parts.get("discriminator"))
    loss.needs = getattr(head, "demands", frozenset())
    return doubles.arena(case.data(), case.condition, loss=loss, **parts).to(case.device)


def added(made: doubles.Arena, side: str, case: Case, number: int = NUMBER) -> dict[str, Tensor]:
    """The terms that the networks of a duel add to a side's objective."""
    match = made.match(side, doubles.step(case.data(), number))  # type: ignore[arg-type]
    return {**made.duel.discriminator.terms(match), **made.duel.generator.terms(match)}


def _descend(terms: Mapping[str, Tensor]) -> None:
    total = sum(terms.values())
    if isinstance(total, Tensor) and total.requires_grad:
        total.backward()


@suite.check(
    "the terms that it adds are finite scalars, for a batch of one and under bfloat16 autocast too, and teach the "
    "player in whose update they are",
    "statistics over the batch, half precision, a detach(), or a term on the wrong side",
    "terms",
    kinds=tuple(PLAYERS),
)
def its_own_terms_teach(subject: Subject, case: Case) -> None:
    made = arena(subject.build(case), case)
    players: dict[str, nn.Module] = {"discriminator": made.duel.discriminator, "generator": made.duel.generator}
    sides = {side: added(made, side, case) for side in players}
    if not any(sides.values()):
        skip("it adds no terms")
    for side, terms in sides.items():
        for name, value in terms.items():
            if not isinstance(value, Tensor) or value.dim() != 0:
                came = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise Broken(f"{name} is {came} on the {side}'s side; a scalar tensor was to come")
        with torch.autocast(case.device, torch.bfloat16):
            short = added(made, side, case)
        tried = {"": terms, " for one sample": added(made, side, case, 1), " under bfloat16": short}
        for when, values in tried.items():
            for name, value in values.items():
                if not value.isfinite():
                    raise Broken(f"{name} is {value.item()} on the {side}'s side{when}")
        made.zero_grad()
        _descend(terms)
        gradients = [p.grad for p in players[side].parameters() if p.grad is not None]
        if terms and not any(gradient.any() for gradient in gradients):
            raise Broken(f"{listed(list(terms))} has no gradient at the {side}, in whose update it is")
        if not all(gradient.isfinite().all() for gradient in gradients):
            raise Broken(f"the gradient of {listed(list(terms))} at the {side} is infinite or no number")


# -- conditions, devices, precision ------------------------------------------------------------------------------------


@suite.check(
    "conditional says whether the outputs depend on the condition, each on its own row's",
    "the condition has to enter forward, or conditional has to be False",
    "forward",
    kinds=("generator", "translator", "discriminator", "head"),
)
def uses_its_condition(subject: Subject, case: Case) -> None:
    if case.condition is None:
        skip("there is no condition here")
    network = subject.build(case).eval()
    seed_everything(4)
    with torch.no_grad():
        for parameter in network.parameters():  # a gain that depends on the condition may start with no regard to it
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    given = call(subject, network, case)
    condition = given.inputs["condition"]
    assert condition is not None
    other = condition.roll(1, dims=1)
    results = []
    for rows in (condition, other, torch.cat([other[:1], condition[1:]])):
        seed_everything(5)
        with torch.no_grad():
            results.append(given(condition=rows)[given.main])
    plain, changed, first = results
    if network.conditional and torch.equal(plain, changed):
        raise Broken(f"conditional is True, but the {given.main} are the same under every condition")
    if not network.conditional and not torch.equal(plain, changed):
        raise Broken(f"conditional is False, but the {given.main} differ under another condition")
    if network.conditional and torch.equal(plain[0], first[0]) and not torch.equal(plain[0], changed[0]):
        raise Broken("a sample depends on the conditions of the others, not on its own")


@suite.check(
    "it works where its inputs and its weights are: no device is written down",
    'tensors made without device=..., "cuda" or "cpu" in the code, tensors kept outside buffers',
    METHOD,
    varied=False,
)
def follows_its_inputs_to_their_device(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    given = call(subject, network, case)
    inputs = {name: value if value is None else value.to("meta") for name, value in given.inputs.items()}
    network.to("meta")
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Trained):  # the engine keeps these on the device, they are no submodules
                value.to("meta")
    follows_devices(lambda: given.outputs(inputs))


@suite.check(
    "under bfloat16 autocast it gives finite numbers near those of float32",
    "differences of large numbers and divisions by small ones: compute in float32 (torch.autocast(..., enabled=False))",
    METHOD,
    kinds=TRAINABLE,
)
def stands_bf16(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    given = call(subject, network, case)
    results = []
    for enabled in (False, True):
        seed_everything(5)
        with torch.no_grad(), torch.autocast(case.device, torch.bfloat16, enabled=enabled):
            results.append(given.result.float())
    plain, short = results
    if not short.isfinite().all():
        raise Broken(f"the {given.main} are infinite or no number")
    distance = (plain - short).abs().mean()
    scale = plain.abs().mean() + 1e-3
    if distance > 0.2 * scale:
        raise Broken(f"the {given.main} differ from those of float32 by {distance / scale:.0%} of their size")


@suite.check(
    "with channels_last its numbers are the same, weights and images laid out so",
    "a .view that merges dimensions: use flatten",
    METHOD,
    kinds=("generator", "translator", "discriminator", "backbone"),
)
def channels_last_changes_nothing(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    if not network.channels_last:
        skip("it does not ask for channels-last")
    given = call(subject, network, case)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network.to(memory_format=layout)
        inputs = {
            k: v.contiguous(memory_format=layout) if v is not None and v.dim() == 4 else v
            for k, v in given.inputs.items()
        }
        seed_everything(5)
        with torch.no_grad():
            results.append(given.outputs(inputs)[given.main])
    difference = (results[0] - results[1]).abs().max()
    if difference > 1e-3 * (1 + results[0].abs().max()):
        raise Broken(f"the {given.main} differ by {difference:.3g}")


# -- training ----------------------------------------------------------------------------------------------------------


@suite.check(
    "it trains, and a training that was stopped and goes on ends with the same bits",
    "what changes while training has to be a parameter, a buffer or in get_extra_state",
    kinds=TRAINABLE,
    varied=False,
)
def trains_and_resumes(subject: Subject, case: Case) -> None:
    if subject.kind == "encoder" and len(call(subject, subject.build(case), case)()) < 2:
        skip("it has no objective: there is nothing to learn")

    def make(seed: int) -> doubles.Fit:
        return doubles.Fit(case.data(), subject.build(case, seed), outputs)

    def outputs(network: Any, step: Any) -> dict[str, Tensor]:
        number = len(step.batch["images"])
        made = call(subject, network, case, number, seed=step.index)
        return made()

    resumes(make)


# -- generators --------------------------------------------------------------------------------------------------------


@suite.check(
    "every group of latents changes the samples",
    "a group that forward does not use",
    "forward",
    kinds=("generator",),
)
def uses_all_its_latents(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    given = call(subject, network, case)
    latents = given.inputs["latents"]
    assert latents is not None
    if latents.shape != (NUMBER, network.latents.size):
        raise Broken(f"latents draws {tuple(latents.shape)}, its groups sum to {network.latents.size}")
    seed_everything(5)
    plain = given.result
    for group in network.latents.groups:
        moved = latents.clone()
        moved[:, network.latents.slice(group)] += 1.0
        seed_everything(5)
        if torch.equal(given(latents=moved)["samples"], plain):
            raise Broken(f"the samples are the same whatever {group!r} is")


@suite.check(
    "torch.export takes forward(latents, condition), so that a trained model can leave the house",
    "Python that depends on values, or state outside parameters and buffers",
    "forward",
    kinds=("generator",),
)
def can_be_exported(subject: Subject, case: Case) -> None:
    network = subject.build(case).eval()
    given = call(subject, network, case)
    inputs = (given.inputs["latents"], given.inputs["condition"])
    dynamic = ({0: torch.export.Dim.DYNAMIC}, None if inputs[1] is None else {0: torch.export.Dim.DYNAMIC})
    with torch.no_grad():
        exported = torch.export.export(_Samples(network), inputs, dynamic_shapes=dynamic).module()
        larger = call(subject, network, case, number=NUMBER + 3, seed=2)
        seed_everything(5)
        expected = larger.result
        seed_everything(5)
        came = exported(larger.inputs["latents"], larger.inputs["condition"])
    if (came - expected).abs().max() > 1e-4:
        raise Broken(f"the exported program's samples differ by {(came - expected).abs().max():.3g}")


class _Samples(nn.Module):
    """A generator without the extras of its samples: exported programs speak tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        made = self.network(latents, condition)
        return made.samples if isinstance(made, Generated) else made


# -- extractors --------------------------------------------------------------------------------------------------------


@suite.check(
    "an extractor has a name, a protocol that says all its features depend on, and takes images of any size and "
    "colour, or refuses them with a ValueError",
    "resize and repeat channels inside",
    "forward",
    kinds=("extractor",),
    varied=False,
)
def measures_any_image(subject: Subject, case: Case) -> None:
    import json

    network = subject.build(case).eval()
    if not isinstance(network.name, str) or not network.name:
        raise Broken(f"its name is {network.name!r}")
    protocol = network.protocol
    if json.loads(json.dumps(protocol)) != dict(protocol) or not protocol:
        raise Broken(f"its protocol is {protocol!r}, which is not plain JSON")
    for shape in (case.shape, (1, 28, 28), (3, 32, 48), (3, 64, 40)):
        try:
            features = network(doubles.images(2, shape))
        except ValueError:
            if shape == case.shape:
                raise
            continue
        if tuple(features.shape) != (2, network.features) or not features.is_floating_point():
            raise Broken(
                f"images {shape} give {features.dtype} of shape {tuple(features.shape)}, not {(2, network.features)}"
            )


# -- helpers -----------------------------------------------------------------------------------------------------------


def _leaf(value: Tensor | None) -> Tensor:
    assert value is not None
    return value.detach().clone().requires_grad_(True)


def _weighed(made: Mapping[str, Tensor]) -> Tensor:
    """One number of all outputs, each element with a weight of its own: a plain sum may be constant (tanh, softmax)."""
    total = torch.zeros(())
    for value in made.values():
        if value.is_floating_point():
            weights = torch.linspace(0.5, 1.5, value.numel(), device=value.device).view(value.shape)
            total = total.to(value.device) + (weights * value.float()).sum()
    return total


def _unlike(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    return listed([f"{name} {there.get(name, 'missing')} for {here.get(name, 'none')}" for name in names])
