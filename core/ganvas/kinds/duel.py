"""One generator against one discriminator: ``Duel``, and ``Match``, one round of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.kinds.algorithm import Step, Update
from ganvas.kinds.data import Segment
from ganvas.kinds.networks import Discriminator, Generator, Head, Translator
from ganvas.kinds.objectives import Augmentation, DuelPart, Loss, Regularizer, Side
from ganvas.kinds.options import Scheduled
from ganvas.kinds.records import Critique, Generated, Terms

__all__ = ["Duel", "Match"]

SIDES: tuple[Side, Side] = ("discriminator", "generator")


class Match:
    """One round of a duel, as losses' owners and regularizers see it. Everything costly is lazy and computed once.

    Attributes:
        side: whose objective is being computed.
        step: the engine's step.
        duel: the duel.
        latents: (N, D) the fakes were made from, or None.
        condition_fake: (N, K) or None.
    """

    def __init__(
        self,
        side: Side,
        step: Step,
        duel: Duel,
        *,
        real: Tensor,
        fake: Callable[[], Tensor | Generated],
        latents: Tensor | None = None,
        condition_real: Tensor | None = None,
        condition_fake: Tensor | None = None,
    ) -> None:
        self.side = side
        self.step = step
        self.duel = duel
        self.latents = latents
        self.condition_fake = condition_fake
        self.wants: set[str] = set()
        self._given_real, self._given_condition = real, condition_real
        self._make_fake = fake
        self._samples: dict[str, Tensor] = {}
        self._critiques: dict[str, Critique] = {}
        self._gradients: dict[str, Tensor] = {}
        self.generated: Generated | None = None

    @cached_property
    def _slipped(self) -> Tensor | None:
        """(N,): which of the reals have a fake in their place; None for none."""
        if self.side == "generator" or self.duel.augmentation is None or not self.duel.mixes:
            return None
        return self.duel.augmentation.mix(self._given_real, self.fake.detach(), self.step.rng)

    @property
    def condition_real(self) -> Tensor | None:
        """(N, K) or None: what the reals are judged under; a fake among them brings its own."""
        if self._given_condition is None or self.condition_fake is None or self._slipped is None:
            return self._given_condition
        return torch.where(_along(self._slipped, self.condition_fake), self.condition_fake, self._given_condition)

    @property
    def real(self) -> Tensor:
        """(N, C, H, W) in [-1, 1], before augmentation; a leaf that asks for a gradient where one is wanted.

        On the discriminator's side it is what the discriminator takes for real, with the fakes that the augmentation
        slips in.
        """
        if "real" not in self._samples:
            real = self._given_real
            if self._slipped is not None:
                real = torch.where(_along(self._slipped, real), self.fake.detach(), real)
            if self.side == "discriminator" and "real" in self.wants:
                real = real.detach().requires_grad_(True)
            self._samples["real"] = real
        return self._samples["real"]

    @property
    def fake(self) -> Tensor:
        """(N, C, H, W) in [-1, 1], before augmentation; on the discriminator's side without the generator's graph."""
        if "fake" not in self._samples:
            with torch.set_grad_enabled(self.side == "generator"):
                self.generated = Generated.of(self._make_fake())
            fake = self.generated.samples
            if self.side == "discriminator" and "fake" in self.wants:
                fake = fake.detach().requires_grad_(True)
            self._samples["fake"] = fake
        return self._samples["fake"]

    def critique(self, which: str) -> Critique:
        """The discriminator's critique of the ``"real"`` or ``"fake"`` samples, augmented."""
        if which not in self._critiques:
            augmentation, rng = self.duel.augmentation, self.step.rng
            samples, condition = (
                (self.real, self.condition_real) if which == "real" else (self.fake, self.condition_fake)
            )
            # On the generator's side the critique of the reals is a constant: the discriminator is frozen there.
            samples = samples if augmentation is None else augmentation(samples, which, rng)
            self._critiques[which] = self.criticise(samples, condition)
        return self._critiques[which]

    def criticise(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        """The discriminator's critique of any samples (interpolates, say), not augmented."""
        critique = self.duel.discriminator(samples, condition)
        critique.samples = samples if critique.samples is None else critique.samples
        critique.condition = condition if critique.condition is None else critique.condition
        critique.step = self.step
        critique.scores = critique.scores.float() if critique.scores.dtype in _HALF else critique.scores
        return critique

    def generate(self, latents: Tensor) -> Tensor:
        """Samples (N, C, H, W) from other latents (N, D), under the fakes' conditions.

        On the discriminator's side without the generator's graph, like ``fake``.
        """
        with torch.set_grad_enabled(self.side == "generator"):
            return Generated.of(self.duel.generator(latents, self.condition_fake)).samples

    def gradients(self, which: str) -> Tensor:
        """Gradient of the scores' sum (mean over patches, sum over the batch) with respect to the samples.

        Shaped like the samples, and itself differentiable. It shares the forward pass of the update where that runs in
        float32; under lower precision it is computed anew, in float32, because double backward there gives NaN.
        """
        if which not in self._gradients:
            samples = self.real if which == "real" else self.fake
            if torch.is_autocast_enabled(samples.device.type):
                condition = self.condition_real if which == "real" else self.condition_fake
                leaf = samples.float() if samples.requires_grad else samples.detach().float().requires_grad_(True)
                augmentation = self.duel.augmentation
                with torch.autocast(samples.device.type, enabled=False):
                    augmented = leaf if augmentation is None else augmentation(leaf, which, self.step.rng)
                    # The backward pass too: with a graph of its own it would be cast like any forward pass.
                    self._gradients[which] = input_gradients(self.criticise(augmented, condition), leaf)
            else:
                self._gradients[which] = input_gradients(self.critique(which), samples)
        return self._gradients[which]


_HALF = (torch.bfloat16, torch.float16)


def _along(chosen: Tensor, samples: Tensor) -> Tensor:
    """A choice of samples (N,), shaped to be broadcast over what each of them holds."""
    return chosen.view(-1, *(1 for _ in samples.shape[1:]))


def input_gradients(critique: Critique, samples: Tensor) -> Tensor:
    """Gradient of the scores with respect to the samples: one score per sample (patches are averaged), summed."""
    scores = critique.scores.flatten(1).mean(1).sum() if critique.scores.dim() > 1 else critique.scores.sum()
    return torch.autograd.grad(scores, samples, create_graph=True)[0]


class Duel(nn.Module):
    """One generator against one discriminator, with the loss, the augmentation and the regularizers between them.

    An algorithm may hold several (CycleGAN holds two). It owns no training loop: it says what the terms of a match
    are and in which updates they belong.

    Args:
        discriminator, generator: the two networks; the generator may be a translator.
        loss: the adversarial loss.
        augmentation: applied to everything the discriminator sees; None is the identity.
        regularizers: callables that take this duel (``list[Use[Regularizer]]``).
        names: what the two networks are called in the algorithm's ``networks()``, and so their updates; after their
            sides, unless an algorithm holds several duels.
        paired: whether the i-th fake is made from what belongs to the i-th real (its condition, its input), so that
            the two can be compared.
        segments: what the numbers of the samples' conditions mean; empty where nothing is said.
        observed: whether the condition of a real sample is known.

    Raises:
        ValueError: the augmentation lets no gradient pass, the head does not meet the loss or the condition, or a part
            names no side.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        loss: Loss,
        augmentation: Augmentation | None,
        regularizers: Sequence[Callable[[Duel], Regularizer]],
        generator: Generator | Translator,
        names: Mapping[Side, str] | None = None,
        *,
        paired: bool = False,
        segments: Sequence[Segment] = (),
        observed: bool = True,
    ) -> None:
        super().__init__()
        if augmentation is not None and not augmentation.differentiable:
            raise ValueError(
                f"{type(augmentation).__name__} is not differentiable and cannot stand before a discriminator; "
                "use diffaugment or none"
            )
        head = getattr(discriminator, "head", discriminator)
        given, demanded = getattr(head, "gives", frozenset()), getattr(head, "demands", frozenset())
        if lacking := loss.needs - given:
            raise ValueError(
                f"{type(loss).__name__} needs a head that gives {', '.join(sorted(lacking))}, which "
                f"{type(head).__name__} does not; `ganvas show loss/{_name(loss)}` has one that does"
            )
        if unused := demanded - loss.needs:
            raise ValueError(
                f"{type(head).__name__} trains wrongly under {type(loss).__name__}, which does not use "
                f"{', '.join(sorted(unused))}; `ganvas show head/{_name(head)}` has a loss that does"
            )
        if segments and observed and isinstance(head, Head):
            head.check_condition(segments)
        self._check_layers(discriminator, loss)
        self.generator: Generator | Translator = generator
        self.discriminator: Discriminator = discriminator
        self.paired = paired
        self.segments = tuple(segments)
        self.observed = observed
        self.loss = loss
        self.augmentation = None if augmentation is not None and augmentation.identity else augmentation
        self.mixes = augmentation is not None and type(augmentation).mix is not Augmentation.mix
        self.regularizers = nn.ModuleList(build(self) for build in regularizers)
        self._in_order: tuple[Regularizer, ...] = tuple(self.regularizers)  # type: ignore[arg-type]
        for regularizer in self._in_order:
            self._check_layers(discriminator, regularizer)
        fixed = [*SIDES, "loss", "augmentation"]
        self._numbers = _numbered([*fixed, *map(_name, self._in_order)])[len(fixed) :]
        parts: dict[str, DuelPart | None] = {"loss": self.loss, "augmentation": self.augmentation}
        parts |= {_name(regularizer) + self._number(regularizer): regularizer for regularizer in self._in_order}
        self.names: Mapping[Side, str] = names or {side: side for side in SIDES}
        self._learned: dict[str, DuelPart] = {}
        for name, part in parts.items():
            # Whether a part has anything to train is seen now: training freezes and thaws it.
            if part is not None and any(parameter.requires_grad for parameter in part.parameters()):
                player = self.names[_side(part)]
                self._learned[f"{player}.{name}" if names else name] = part
        for regularizer in self._in_order:
            regularizer.prepare({"generator": generator, "discriminator": discriminator})

    @staticmethod
    def _check_layers(discriminator: nn.Module, part: DuelPart) -> None:
        """Raises ``ValueError`` if the part reads a layer that the discriminator does not have."""
        offered = list(getattr(discriminator, "layers", ()))
        for name in part.layers:
            if name not in offered:
                known = f"its layers are {', '.join(offered)}" if offered else "it names none"
                raise ValueError(
                    f"{type(part).__name__} reads the layer {name!r}, which {type(discriminator).__name__} does not "
                    f"have; {known}"
                )

    def networks(self) -> dict[str, nn.Module]:
        """Every network that this duel's updates train, by name: the players, and the parts that own parameters.

        Those are called ``loss``, ``augmentation`` or as the regularizer; with the name of the player they are trained
        with before it, ``discriminator_a.loss``, where the players have names of their own.
        """
        players: dict[Side, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        return {self.names[side]: player for side, player in players.items()} | self._learned

    def trains(self, side: Side) -> list[str]:
        """Names of the networks that a side's update trains: its player, and what is learned with it."""
        mine = [name for name, part in self._learned.items() if _side(part) == side]
        return [self.names[side], *(name for name in mine if not getattr(self._learned[name], "own_step", False))]

    def terms(self, match: Match, *, adversarial: Callable[[Match], Terms] | None = None) -> Terms:
        """The terms of one side's update: the adversarial loss, the networks' own, the regularizers that are due.

        ``adversarial`` gives other terms in the loss's place.
        """
        due = [
            regularizer
            for regularizer in self._in_order
            if match.side in regularizer.joins
            and not regularizer.own_step
            and match.step.index % regularizer.every == 0
        ]
        for regularizer in due:
            match.wants |= regularizer.wants
        terms = dict((adversarial or self._adversarial)(match))
        terms |= self.discriminator.terms(match)
        terms |= self.generator.terms(match)
        for regularizer in due:
            terms |= self.penalty(regularizer, match)
        return terms

    def _adversarial(self, match: Match) -> Terms:
        if match.side == "discriminator":
            fake, real = match.critique("fake"), match.critique("real")
            value = self.loss.discriminator(real, fake)
            match.step.log("scores/real", real.scores.detach().mean())
            match.step.log("scores/fake", fake.scores.detach().mean())
            if self.augmentation is not None:
                self.augmentation.observe(real)
        else:
            value = self.loss.generator(match.critique("fake"), _LazyCritique(match, "real"))  # type: ignore[arg-type]
        return value if isinstance(value, dict) else {"adversarial": value}

    def penalty(self, regularizer: Regularizer, match: Match) -> Terms:
        """One regularizer's weighted terms."""
        match.wants |= regularizer.wants
        value = regularizer.penalty(match)
        if value is None:
            return {}
        weight = regularizer.weight.at(match.step) * (regularizer.every if regularizer.rescale else 1)
        named = value if isinstance(value, dict) else {_name(regularizer): value}
        number = self._number(regularizer)
        return {f"penalty/{term}{number}": weight * scalar for term, scalar in named.items()}

    def _number(self, regularizer: Regularizer) -> str:
        """Tells two of one name apart in logs and updates: nothing for the first, ``-2`` for the second."""
        return self._numbers[self._in_order.index(regularizer)]

    def updates(
        self,
        match: Callable[[Side, Step], Match],
        *,
        steps: int | Scheduled = 1,
        batch: str = "shared",
        order: Sequence[Side] = SIDES,
        every: int = 1,
        adversarial: Callable[[Match], Terms] | None = None,
    ) -> list[Update]:
        """The discriminator's update, the generator's, and between them the regularizers' own steps, in order.

        Args:
            match: makes a match for a side; called inside the objectives.
            steps: discriminator steps per iteration.
            batch: which batch the generator's update sees: ``shared`` or ``fresh``.
            order: the sides in the order in which they move.
            every: the discriminator moves in every n-th iteration.
            adversarial: the adversarial terms of a match, where an algorithm has others than the loss's.
        """
        first: list[Update] = []
        rest: list[Update] = []
        for side in order:
            around: dict[str, list[Update]] = {"first": first, "before": [], "after": []}
            for regularizer in self._in_order:
                if regularizer.own_step and side in regularizer.joins:
                    around[regularizer.place].append(self._own_step(regularizer, side, match))
            main = Update(
                self.names[side],
                trains=self.trains(side),
                objective=lambda step, side=side: self.terms(match(side, step), adversarial=adversarial),
                every=every if side == "discriminator" else 1,
                repeat=steps if side == "discriminator" else 1,
                batch="shared" if side == "discriminator" else batch,
                after=self._constraint(side),
            )
            rest += [*around["before"], main, *around["after"]]
        return first + rest

    def _own_step(self, regularizer: Regularizer, side: Side, match: Callable[[Side, Step], Match]) -> Update:
        return Update(
            f"{self.names[side]}.{_name(regularizer)}{self._number(regularizer)}",
            trains=[
                self.names[side],
                *(name for name, part in self._learned.items() if part is regularizer and _side(part) == side),
            ],
            objective=lambda step: self.penalty(regularizer, match(side, step)),
            optimizer=self.names[side],
            every=regularizer.every,
            after=self._constraint(side),
        )

    def _constraint(self, side: Side) -> Callable[[Step], None] | None:
        """What runs after a step of a side, where any regularizer has something to hold."""
        holding = [r for r in self._in_order if type(r).constrain is not Regularizer.constrain]
        return (lambda step: self.constrain(side)) if any(side in r.joins for r in holding) else None

    def constrain(self, side: Side) -> None:
        """Applies the constraints that hold after a step of this side."""
        for regularizer in self._in_order:
            if side in regularizer.joins:
                regularizer.constrain({"generator": self.generator, "discriminator": self.discriminator})


def _name(part: nn.Module) -> str:
    """What a spec calls a part."""
    return getattr(part, "component_name", type(part).__name__.lower())


def _side(part: DuelPart) -> Side:
    """The side in whose update a part's own parameters are trained."""
    joins = getattr(part, "joins", ())
    side = next(iter(joins)) if len(joins) == 1 else part.trained_in
    if side not in SIDES:
        raise ValueError(f"{type(part).__name__} is trained_in {side!r}; make it 'discriminator' or 'generator'")
    return side


def _numbered(names: Sequence[str]) -> list[str]:
    seen = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return ["" if count == 1 else f"-{count}" for count in seen]


class _LazyCritique:
    """A critique that is computed when first looked at: most generator losses never read the reals."""

    def __init__(self, match: Match, which: str) -> None:
        self._match = match
        self._which = which

    def __getattr__(self, name: str) -> Any:
        return getattr(self._match.critique(self._which), name)
