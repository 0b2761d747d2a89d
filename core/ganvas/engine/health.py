"""What a training looks like from outside, while it runs: numbers of its duels and of its samples.

Nothing here changes a training: it looks in eval mode, without gradients, from a random stream of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ganvas.engine.findings import (
    DIVERSITY,
    DRIFT,
    GAP,
    HELD_OUT,
    IMBALANCE,
    OVERFITTING,
    PERSISTENT,
    SEPARATION,
    SIGNAL,
    SPENT,
    Point,
    findings,
    variety,
)
from ganvas.engine.modules import evaluating, norm
from ganvas.engine.randomness import Randomness
from ganvas.kinds.algorithm import Algorithm, Step, flat
from ganvas.kinds.data import Data, evenly
from ganvas.kinds.duel import Match

__all__ = ["Health", "default_every"]

KEPT = 10  # looks that are remembered, besides that of the greatest diversity
CELLS = 10  # classes that samples without (or with more) labels are sorted into
BATCH = 64  # samples whose features are taken at once


def default_every(steps: int) -> int:
    """Iterations between two looks: 50 looks in all, and not so many that they cost more than about 1 %."""
    return max(200, -(-steps // 50))


class Health:
    """Looks at a stage every ``every`` iterations, always at the same real samples and from the same latents.

    With D the scores of a duel of the algorithm (``Algorithm.matches``), as its discriminator sees the samples:

    - ``scores/gap.training`` and ``scores/gap.held-out``: E[D(real)] - E[D(fake)], over reals that are trained on and
      over held-out ones;
    - ``scores/health.separation``: P(D(real) > D(fake)), 1 where every real sample is above every fake, ½ for a
      discriminator that knows nothing;
    - ``scores/health.signal``: sum_i |dL_D / dD(x_i)|, over that where all scores are their mean: near 1 for a
      discriminator that cannot tell, 0 where its loss is flat in every score (Wasserstein's never is);
    - ``scores/health.overfitting``: r_v = (E[D(training)] - E[D(held-out)]) / (E[D(training)] - E[D(fake)]) of Karras
      et al., "Training Generative Adversarial Networks with Limited Data", 2020, equation 1.

    With features f of what the algorithm samples (``sample(number, condition, rng)``):

    - ``scores/health.diversity``: the mean distance |f(x) - f(y)| of two fakes over that of two real samples;
    - ``scores/health.drift``: each fake is of the class of the real sample nearest to it; half the l1 distance of
      their histogram from that of the last look (0: the same, 1: no class in common);
    - ``scores/health.imbalance``: the same, from the histogram of the real samples.

    And of every network, ``grad/update-ratio.NAME``: |θ' - θ| / |θ'| over the last iteration that moves it.

    Args:
        every: a multiple of the iterations between log points, where it is called.
        samples: real ones, and as many fakes.
        extractor: images (N, C, H, W) -> features (N, F); None for the samples' own numbers.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        data: Data,
        *,
        every: int,
        samples: int,
        batch_size: int,
        steps: int,
        seed: int,
        device: torch.device,
        extractor: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.algorithm, self.data = algorithm, data
        self.every, self.samples, self.batch_size, self.steps = every, samples, batch_size, steps
        self.extractor = extractor
        self.device = device
        self.randomness = Randomness(seed, device)
        self.history: list[Point] = []
        self.found: dict[str, str] = {}
        self._said: list[str] = []
        self._terms: dict[str, tuple[float, int, int, int]] = {}  # value, the images since and until which, how often
        self._cadences: dict[str, int] = {}
        self._updates = flat(algorithm.updates())
        self._judges: set[str] = set()  # the networks that are discriminators of a duel
        for update in self._updates:
            for name in update.trains:
                self._cadences[name] = min(update.every, self._cadences.get(name, update.every))
        self._networks = {n: list(network.parameters()) for n, network in algorithm.networks().items()}
        self._before: dict[str, list[Tensor]] = {}
        self._probes: tuple[dict[str, Tensor], dict[str, Tensor] | None] | None = None
        self._real: tuple[Tensor, Tensor, Tensor] | None = None

    # -- called by the loop --------------------------------------------------------------------------------------------

    def begin(self, index: int) -> None:
        """Before an iteration: keeps what the networks were whose last move before the next look is about to come."""
        left = self.every - index % self.every
        self._before = {
            name: [parameter.detach().clone() for parameter in self._networks[name]]
            for name, cadence in self._cadences.items()
            if left <= cadence and index % cadence == 0 and self._networks[name]
        }

    @torch.no_grad()
    def ratios(self) -> Iterator[tuple[str, Tensor]]:
        """After it: how far those networks moved, by tag; nothing waits for the device."""
        for name, before in self._before.items():
            now = self._networks[name]
            moved = [new - old for new, old in zip(now, before, strict=True)]
            yield f"grad/update-ratio.{name}", norm(moved) / norm(now)
        self._before = {}

    def look(self, done: int, scalars: Mapping[str, float]) -> dict[str, float]:
        """At a log point, with what is logged there: the numbers of this look, none where it is not due yet."""
        images = done * self.batch_size
        for tag, value in scalars.items():
            if tag.startswith(("loss/", "penalty/")):
                known, since, _, times = self._terms.get(tag, (value, images, images, 0))
                self._terms[tag] = (value, since, images, times + 1) if value == known else (value, images, images, 1)
        if done % self.every:
            return {}
        with torch.no_grad(), evaluating(self.algorithm):
            values = dict(self._judged(done))
            numbers, histogram = self._pictures()
        values |= numbers
        long = PERSISTENT * self.every * self.batch_size
        # A margin that all samples keep is no dead term: the signal says so.
        spent = any(tag.startswith(SIGNAL) and value <= SPENT for tag, value in values.items())
        kept = tuple(f"loss/{u.name}." for u in self._updates if spent and self._judges.intersection(u.trains))
        still = {
            tag: [value, since]
            for tag, (value, since, until, times) in self._terms.items()
            if until - since >= long and times >= PERSISTENT and not (value == 0 and tag.startswith(kept))
        }
        self.history.append(Point(images, values, still, histogram))
        if len(self.history) > KEPT + 1:
            best = max(self.history[:-KEPT], key=variety)
            self.history = [best, *self.history[-KEPT:]]
        self.found = findings(self.history)
        return values

    def news(self) -> list[str]:
        """What was found for the first time, in words, the worst first."""
        new = {key: line for key, line in self.found.items() if key not in self._said}
        self._said += new
        return list(new.values())

    @property
    def line(self) -> str:
        """The worst that the last look found; empty if all is well."""
        return next(iter(self.found.values()), "")

    def state(self) -> dict[str, Any]:
        terms = {tag: list(seen) for tag, seen in self._terms.items()}
        return {"history": [asdict(point) for point in self.history], "terms": terms, "said": self._said}

    def load(self, state: Mapping[str, Any]) -> None:
        self.history = [Point(**point) for point in state["history"]]
        self._terms = {tag: tuple(seen) for tag, seen in state["terms"].items()}
        self._said = list(state["said"])
        self.found = findings(self.history)

    # -- scores --------------------------------------------------------------------------------------------------------

    def _judged(self, done: int) -> Iterator[tuple[str, float]]:
        if type(self.algorithm).matches is Algorithm.matches:
            return
        if self._probes is None:
            held_out = self.data.held_out()
            unseen = None if held_out is None else _probe(held_out, self.samples)
            self._probes = _probe(self.data, self.samples), unseen
        training, held_out = self._probes
        seen: dict[str, list[Sequence[Tensor]]] = {}
        for name, match in self._rounds(done, training):
            seen.setdefault(name, []).append([_scores(match, "real"), _scores(match, "fake"), *_signal(match)])
        others: dict[str, list[Tensor]] = {}
        for name, match in self._rounds(done, held_out) if held_out is not None else ():
            others.setdefault(name, []).append(_scores(match, "real"))
        for name, batches in seen.items():
            suffix = f"-{name}" if name else ""
            real, fake, slopes, most = (torch.cat(parts) for parts in zip(*batches, strict=True))
            gap = real.mean() - fake.mean()
            above = (real.unsqueeze(1) > fake).float() + 0.5 * (real.unsqueeze(1) == fake)
            found = {GAP: gap, SEPARATION: above.mean(), SIGNAL: slopes.sum() / most.sum()}
            if name in others:
                lost = real.mean() - torch.cat(others[name]).mean()
                found |= {HELD_OUT: gap - lost, OVERFITTING: (lost / gap).nan_to_num(0, 0, 0).clamp(-1, 1)}
            for tag, value in found.items():
                if not value.isnan():  # no signal of a loss that reads other things than scores
                    yield tag + suffix, value.item()

    def _rounds(self, done: int, probe: Mapping[str, Tensor]) -> Iterator[tuple[str, Match]]:
        """Matches by duel, on the samples in batches as large as those of training."""
        for start in range(0, min(len(values) for values in probe.values()), self.batch_size):
            batch = {name: values[start : start + self.batch_size] for name, values in probe.items()}
            step = Step(
                index=done - 1,
                size=self.batch_size,
                steps=self.steps,
                device=self.device,
                rng=self.randomness.at("health", start),
                draw=lambda source, size, batch=batch: dict(batch),
                note_length=lambda: None,
            )
            step.batch = batch
            for name, match in self.algorithm.matches(step).items():
                self._judges.add(match.duel.names["discriminator"])
                yield name, match

    # -- pictures ------------------------------------------------------------------------------------------------------

    def _pictures(self) -> tuple[dict[str, float], list[float]]:
        drawer: Any = getattr(self.algorithm, "sample", None)
        if drawer is None or "images" not in self.data.fields:
            return {}, []
        if self._real is None:
            probe = _probe(self.data, self.samples)
            real = self._features(probe["images"])
            self._real = real, _classes(real, probe.get("labels")), torch.pdist(real).mean()
        real, classes, spread = self._real
        fake = self._features(drawer(self.samples, None, rng=self.randomness.at("health")))
        number = int(classes.max()) + 1
        nearest = classes[torch.cdist(fake, real).argmin(1)]
        shares = [(c.unsqueeze(1) == torch.arange(number, device=c.device)).float().mean(0) for c in (nearest, classes)]
        values = {
            DIVERSITY: (torch.pdist(fake).mean() / spread).item(),
            IMBALANCE: ((shares[0] - shares[1]).abs().sum() / 2).item(),
        }
        histogram = shares[0].tolist()
        before = self.history[-1].histogram if self.history else ()
        if len(before) == len(histogram):  # other samples are looked at if the option was changed between two sessions
            values[DRIFT] = sum(abs(a - b) for a, b in zip(histogram, before, strict=True)) / 2
        return values, histogram

    def _features(self, images: Tensor) -> Tensor:
        found = images if self.extractor is None else torch.cat([self.extractor(part) for part in images.split(BATCH)])
        return found.flatten(1).float()


def _scores(match: Match, which: str) -> Tensor:
    """(N,), patches averaged."""
    scores = match.critique(which).scores.float()
    return scores.view(len(scores), -1).mean(1)


def _signal(match: Match) -> tuple[Tensor, Tensor]:
    """(1,) and (1,): sum_i |dL_D / dD(x_i)| over the scores of both sides, and over as many that all are their mean."""
    critiques = match.critique("real"), match.critique("fake")
    mean = torch.cat([critique.scores.flatten() for critique in critiques]).mean()

    def slopes(levels: Sequence[Tensor]) -> Tensor:
        judged = [copy.copy(critique) for critique in critiques]
        with torch.enable_grad():
            for critique, level in zip(judged, levels, strict=True):
                critique.scores = level.detach().requires_grad_(True)
            terms = match.duel.loss.discriminator(*judged)
            total = torch.stack(list(terms.values()) if isinstance(terms, dict) else [terms]).sum()
        found = torch.autograd.grad(total, [c.scores for c in judged], allow_unused=True) if total.requires_grad else []
        return sum((slope.abs().sum() for slope in found if slope is not None), torch.zeros_like(mean)).view(1)

    return slopes([c.scores for c in critiques]), slopes([mean.expand_as(c.scores).clone() for c in critiques])


def _probe(data: Data, number: int) -> dict[str, Tensor]:
    """Samples spread evenly over each source, the same every time; named as in a batch."""
    found: dict[str, Tensor] = {}
    for name, source in data.sources.items():
        for batch in data.batches(number, name, indices=evenly(len(source), number)):
            found |= {f"{name}.{field}" if name else field: values for field, values in batch.items()}
    return found


def _classes(features: Tensor, labels: Tensor | None) -> Tensor:
    """(N,): the label of each real sample, or, where there are none or too many, which of a few others it is nearest.

    Those are spread evenly over the samples.
    """
    if labels is not None and labels.dim() == 1 and labels.unique().numel() <= 2 * CELLS:
        return labels.long()
    anchors = features[evenly(len(features), CELLS).to(features.device)]
    return torch.cdist(features, anchors).argmin(1)
