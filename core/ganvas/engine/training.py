"""The training loop: one iteration after another over an algorithm's updates."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.engine import states
from ganvas.engine.average import Average
from ganvas.engine.batches import Batches
from ganvas.engine.checkpoints import Checkpoints
from ganvas.engine.errors import BrokenState, Stopped
from ganvas.engine.health import Health
from ganvas.engine.memory import keep_freed_memory
from ganvas.engine.modules import evaluating, norm
from ganvas.engine.parallel import World, world
from ganvas.engine.randomness import Randomness
from ganvas.engine.scalars import Clock, Log
from ganvas.engine.signals import Signals
from ganvas.kinds.algorithm import Algorithm, Preview, Step, Update, flat, grouped
from ganvas.kinds.data import Data
from ganvas.kinds.optimizer import Optimizer
from ganvas.kinds.options import Scheduled

__all__ = ["Job", "Outcome", "Progress", "check_updates", "train"]


@dataclass
class Progress:
    """What a progress bar reads, from another thread, whenever it likes."""

    steps: int = 0
    index: int = 0
    scalars: dict[str, float] = field(default_factory=dict)
    doing: str = ""
    finding: str = ""


@dataclass
class Job:
    """Everything the loop needs of a stage. Where several processes train together each has a job of its own, in which
    only that of rank 0 looks, draws, measures and logs.

    Attributes:
        batch_size: of all processes.
        optimizers: by the updates' optimizer names.
        average: half-life in images and the networks to average, or None.
        folder: where checkpoints go.
        checkpoint_every: seconds, or iterations (an int).
        health: looks at the training from time to time, or None.
        scalars, pictures: called with (index, images, values) at log points; evaluate: with (index) and returns
            scalars; saved: with (index, path).
    """

    name: str
    algorithm: Algorithm
    data: Data
    optimizers: Mapping[str, Optimizer]
    steps: int
    batch_size: int
    seed: int
    device: torch.device
    folder: Path
    average: tuple[Scheduled, Sequence[str]] | None = None
    bf16: bool = False
    clip_gradients: float | None = None
    log_every: int = 20
    pictures_every: int | None = None
    evaluate_every: int | None = None
    checkpoint_every: float | int = 300.0
    keep: int = 2
    health: Health | None = None
    started: Callable[[int], None] = lambda index: None
    scalars: Callable[[int, int, dict[str, float]], None] = lambda index, images, values: None
    pictures: Callable[[int, int, dict[str, Preview]], None] = lambda index, images, values: None
    evaluate: Callable[[int, Any], dict[str, float]] = lambda index, average: {}
    saved: Callable[[int, Path], None] = lambda index, path: None
    warn: Callable[[str], None] = lambda message: None
    progress: Progress = field(default_factory=Progress)


@dataclass
class Outcome:
    """How a stage ended.

    Attributes:
        resumed_at: iterations that were done before.
        length_read: whether something depended on the number of steps, so that more steps start anew.
    """

    resumed_at: int
    length_read: bool
    average: Average | None


def train(job: Job) -> Outcome:
    """Trains to ``job.steps`` from the newest usable checkpoint, or from the start."""
    keep_freed_memory()
    algorithm, device, here = job.algorithm, job.device, world()
    networks = algorithm.networks()
    groups = grouped(algorithm.updates())
    updates = flat(groups)
    check_updates(networks, groups, set(job.optimizers))

    # What moves: the parameters of each update that their author did not freeze, and one torch optimizer per name.
    parameters = {
        u.name: list({id(p): p for name in u.trains for p in networks[name].parameters() if p.requires_grad}.values())
        for u in updates
    }
    everything = list({id(p): p for ps in parameters.values() for p in ps}.values())
    optimizers = {name: job.optimizers[name].build(ps) for name, ps in _by_optimizer(updates, parameters).items()}
    scheduled = {name: job.optimizers[name] for name in optimizers}
    randomness = Randomness(job.seed, device, here.rank if here.size > 1 else None)
    batches = Batches(job.data, job.batch_size, randomness, device, here)
    average = None
    if job.average is not None:
        average = Average({name: networks[name] for name in job.average[1]}, job.average[0], job.batch_size)
    checkpoints = Checkpoints(job.folder, job.keep)
    log = Log(job.name, device, here.everyone if here.size > 1 else None)
    health = job.health
    reads_length = [False]

    # Where an earlier process stopped, if one did.
    state, path = checkpoints.newest(job.warn) if here.leads else (None, None)
    if (path := here.told(path)) is not None and state is None:
        state = states.load(path)
    start = 0
    if state is None:
        here.align([*algorithm.parameters(), *algorithm.buffers()])
    else:
        assert path is not None
        try:
            algorithm.load_state_dict(state["algorithm"] | _own(state, path, here, job))
            for name, optimizer in optimizers.items():
                _load_optimizer(optimizer, state["optimizers"][name])
            if average is not None:
                average.load(state["average"])
            batches.load(state["batches"])
            log.load(state["log"])
            if health is not None and state["health"] is not None:
                health.load(state["health"])
        except (KeyError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            raise BrokenState(f"the checkpoint {path} does not belong to this spec: {said}") from None
        start, reads_length[0] = state["index"], state["length_read"]
    job.started(start)
    job.progress.steps, job.progress.index = job.steps, start
    algorithm.train()
    for parameter in [*algorithm.parameters(), *everything]:  # what no update trains is frozen all along
        parameter.requires_grad_(False)
    trainable: list[nn.Parameter] = []
    seen: set[str] = set() if start == 0 else {update.name for update in updates}
    waited, signalled = False, 0  # what the ranks agreed on in the last update: to save, to stop
    last_saved, clock = time.monotonic(), Clock(start * job.batch_size)
    if state is None and job.pictures_every is not None:
        _pictures(job, average, batches, 0)

    def note_length() -> None:
        reads_length[0] = True

    def save(index: int) -> Path:
        log.check(checkpoints.last())
        others = _differing(algorithm, here)
        if not here.leads:
            return checkpoints.path(index)
        tree = {
            "stage": job.name,
            "index": index,
            "algorithm": algorithm.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
            "average": average.state() if average is not None else None,
            "batches": batches.state(),
            "log": log.state(),
            "health": health.state() if health is not None else None,
            "length_read": reads_length[0],
            "world": here.size,
            "others": others,
        }
        return checkpoints.save(index, tree)

    with Signals() as signals:
        for index in range(start, job.steps):
            logging = (index + 1) % job.log_every == 0 or index + 1 == job.steps
            step = Step(
                index=index,
                size=batches.size,
                steps=job.steps,
                device=device,
                rng=randomness.rng,
                draw=batches.draw,
                note_length=note_length,
                logging=logging,
                common=randomness.common,
                rank=here.rank,
                ranks=here.size,
            )
            randomness.others("iteration", index)
            if health is not None:
                health.begin(index)
            shared: dict[str, Tensor] | None = None
            here.together = True

            for group in groups:
                if index % group[0].every:
                    continue
                repeats = max(1, round(Scheduled.of(group[0].repeat).at(step)))
                for repetition in range(repeats):
                    step.repetition = repetition

                    # Only what these updates train asks for gradients.
                    wanted = (
                        parameters[group[0].name]
                        if len(group) == 1
                        else [p for update in group for p in parameters[update.name]]
                    )
                    if wanted is not trainable:
                        for parameter in trainable:
                            parameter.requires_grad_(False)
                        for parameter in wanted:
                            parameter.requires_grad_(True)
                        trainable = wanted

                    # Gradients, of every update of the group before any of them steps.
                    renewed: dict[str, Tensor] | None = None
                    for update in group:
                        if update.batch == "fresh":
                            step.batch = batches.draw()
                        elif update.batch == "shared" and repetition > 0:
                            renewed = renewed if renewed is not None else batches.draw()
                            step.batch = renewed
                        else:
                            shared = shared if shared is not None else batches.draw()
                            step.batch = shared
                        randomness.at(update.name, index, repetition)
                        if job.bf16:
                            with torch.autocast(device.type, torch.bfloat16):
                                terms = update.objective(step)
                        else:
                            terms = update.objective(step)
                        if not terms:
                            continue
                        total = _sum(terms)
                        if len(group) == 1 and total.requires_grad:
                            total.backward()
                        elif total.requires_grad:
                            mine = parameters[update.name]
                            gradients = torch.autograd.grad(total, mine, retain_graph=True, allow_unused=True)
                            for parameter, gradient in zip(mine, gradients):
                                if parameter.grad is None:
                                    parameter.grad = gradient
                                elif gradient is not None:  # another update of the group moves it too
                                    parameter.grad = parameter.grad + gradient
                        log.terms(index, update.name, terms)
                        if update.name not in seen:
                            _check_gradients(update, networks)
                            seen.add(update.name)

                    # One message to the other ranks, with what they have to agree on besides.
                    if here.size > 1:
                        overdue = not isinstance(job.checkpoint_every, int) and (
                            time.monotonic() - last_saved >= job.checkpoint_every
                        )
                        notes = [signals.received == number for number in signals.NOTED]
                        *noted, late = here.average_gradients(wanted, [*notes, here.leads and overdue])
                        waited = late > 0
                        signalled = next((number for number, count in zip(signals.NOTED, noted) if count), 0)

                    # Steps. Everything is clipped before any of them, because updates may share an optimizer.
                    for update in group:
                        if job.clip_gradients is not None:
                            nn.utils.clip_grad_norm_(parameters[update.name], job.clip_gradients)
                        if logging and repetition == 0:
                            moving = [p.grad for p in parameters[update.name] if p.grad is not None]
                            log.add(f"grad/{update.name}", norm(moving))
                    for update in group:
                        optimizer = optimizers[update.optimizer_name]
                        if scheduled[update.optimizer_name].scheduled:
                            settings = scheduled[update.optimizer_name].settings(step)
                            for parameter_group in optimizer.param_groups:
                                parameter_group.update(settings)
                        optimizer.step()
                        optimizer.zero_grad(set_to_none=True)
                        if update.after is not None:
                            with torch.no_grad():
                                update.after(step)

            here.together = False
            if average is not None:
                average.update(step)
            for name, value in step.logged.items():
                log.add(name, value)
            if health is not None:
                for name, value in health.ratios():
                    log.add(name, value)

            # Log points: the only moments that wait for the device.
            done = index + 1
            job.progress.index = done
            images = done * job.batch_size
            if logging:
                scalars = log.flush(checkpoints.last())
                scalars |= {
                    f"grad/learning-rate.{name}": optimizer.param_groups[0]["lr"]
                    for name, optimizer in optimizers.items()
                }
                scalars["time/images-per-second"] = clock.rate(images)
                if health is not None:
                    scalars |= health.look(done, scalars)
                    job.progress.finding = health.line
                    for line in health.news():
                        job.warn(f"{job.name}, after {images} images: {line}")
                    clock.reset(images)
                job.progress.scalars = scalars
                job.scalars(done, images, scalars)
            if job.pictures_every is not None and (done % job.pictures_every == 0 or done == job.steps):
                _pictures(job, average, batches, done)
                clock.reset(images)
            if job.evaluate_every is not None and done % job.evaluate_every == 0 and done < job.steps:
                metrics = job.evaluate(done, average)
                if metrics:
                    job.scalars(done, images, metrics)
                clock.reset(images)

            # The state, from time to time and when a signal asks for it.
            due = (
                done % job.checkpoint_every == 0
                if isinstance(job.checkpoint_every, int)
                else waited
                if here.size > 1
                else time.monotonic() - last_saved >= job.checkpoint_every
            )
            asked = signalled if here.size > 1 else signals.received
            if due or asked or done == job.steps:
                path = save(done)
                last_saved = time.monotonic()
                job.saved(done, path)
            if asked:
                batches.close()
                name = signal.Signals(asked).name
                raise Stopped(asked, f"{name} at iteration {done} of {job.steps}; the state is in {path}")
    batches.close()
    for parameter in trainable:
        parameter.requires_grad_(False)
    return Outcome(start, reads_length[0], average)


def check_updates(
    networks: Mapping[str, nn.Module], updates: Iterable[Update | tuple[Update, ...]], named: set[str]
) -> None:
    """Raises ``ValueError`` for updates that contradict one another or the networks."""
    groups = grouped(updates)
    for together in groups:
        if any((update.every, update.repeat) != (together[0].every, together[0].repeat) for update in together):
            names = ", ".join(repr(update.name) for update in together)
            raise ValueError(f"the updates {names} are simultaneous, but every or repeat differ among them")
    alone = flat(groups)
    names = [update.name for update in alone]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two updates are called {name!r}")
    owner: dict[int, str] = {}
    for update in alone:
        for trained in update.trains:
            if trained not in networks:
                known = ", ".join(networks)
                raise ValueError(f"the update {update.name!r} trains {trained!r}, but the networks are {known}")
            for parameter in filter(lambda p: p.requires_grad, networks[trained].parameters()):
                other = owner.setdefault(id(parameter), update.optimizer_name)
                if other != update.optimizer_name:
                    raise ValueError(
                        f"a parameter of {trained!r} belongs to two optimizers, {other!r} and {update.optimizer_name!r}"
                    )
    wanted = {update.optimizer_name for update in alone}
    if lacking := wanted - named:
        raise ValueError(f"no optimizer for {', '.join(sorted(lacking))}")


# -- parts of the loop -------------------------------------------------------------------------------------------------


def _differing(algorithm: Algorithm, here: World) -> list[dict[str, Any]]:
    """For each rank but the first, what of its state is not that of rank 0, where it is told: pools, statistics."""
    if here.size == 1:
        return []
    weights = {name for name, _ in algorithm.named_parameters(remove_duplicate=False)}
    mine = {name: value for name, value in algorithm.state_dict().items() if name not in weights}
    digests = {name: states.digest(value) for name, value in mine.items()}
    first = here.told(digests)
    differing = {
        name: value.cpu() if isinstance(value, Tensor) else value
        for name, value in mine.items()
        if digests[name] != first.get(name)
    }
    return here.everyone(differing)[1:]


def _own(state: dict[str, Any], path: Path, here: World, job: Job) -> dict[str, Any]:
    """What a state holds for this rank only."""
    before, others = state.get("world", 1), state.get("others", [])
    if before == here.size:
        return others[here.rank - 1] if here.rank else {}
    lost = any(others)
    job.warn(
        f"{job.name}: {before} {_processes(before)} wrote {path}, and {here.size} {_processes(here.size)} now: the "
        "order of the data stays, the bits do not" + ("; buffers that each had of its own are the first one's" * lost)
    )
    return {}


def _processes(number: int) -> str:
    return "process" if number == 1 else "processes"


def _by_optimizer(updates: Iterable[Update], parameters: Mapping[str, list[nn.Parameter]]) -> dict[str, list[Any]]:
    found: dict[str, dict[int, nn.Parameter]] = {}
    for update in updates:
        into = found.setdefault(update.optimizer_name, {})
        into.update({id(parameter): parameter for parameter in parameters[update.name]})
    return {name: list(ps.values()) for name, ps in found.items()}


def _sum(terms: Mapping[str, Tensor]) -> Tensor:
    values = iter(terms.values())
    total = next(values)
    for value in values:
        total = total + value
    return total


def _check_gradients(update: Update, networks: Mapping[str, nn.Module]) -> None:
    for name in update.trains:
        own = list(networks[name].parameters())
        if own and all(parameter.grad is None for parameter in own):
            raise ValueError(
                f"the update {update.name!r} trains {name!r}, but its objective gave that network no gradient: "
                "is something detached on the way?"
            )


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    optimizer.load_state_dict(state)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() > 0:
                    # Fused kernels walk through memory: moments must lie in memory as their parameter does.
                    optimizer.state[parameter][name] = torch.empty_like(parameter).copy_(value)


def _pictures(job: Job, average: Average | None, batches: Batches, index: int) -> None:
    """Previews with the averaged weights, from streams of their own: training does not notice."""
    randomness = Randomness(job.seed, job.device)
    batch = batches.first(64)
    job.progress.doing = "pictures"
    with torch.no_grad(), evaluating(job.algorithm), average.applied() if average is not None else nullcontext():
        previews = job.algorithm.previews(batch, randomness.at("previews"))
    job.progress.doing = ""
    if previews:
        job.pictures(index, index * job.batch_size, previews)
