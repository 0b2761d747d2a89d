"""One training in several processes: who they are, and all that they say to one another.

Every process trains on its share of each batch, with the same weights: gradients are averaged in each update. The
first one, rank 0, alone writes, measures and draws; the others wait for it where they need it. One process has a world
of its own and says nothing. Their processes are started, and told of one another in the environment, by ``torchrun``.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.engine.errors import RankLost
from ganvas.engine.launch import launch

__all__ = ["World", "gather", "joined", "synchronise_batch_norm", "world"]

# The others wait this long for rank 0, which may be measuring. A process that ends is noticed at once.
PATIENCE = timedelta(hours=6)
ANSWERS = 5.0  # seconds in which all that are left have noticed that one is gone
HEARD = 2.0  # seconds in which what all have to say is said


class World:
    """The processes of one training, and this one's place among them.

    Attributes:
        rank: of this process, in [0, size).
        size: how many there are.
        local_rank, local_size: the same among those of this machine.
        together: whether all of them are in the same update, so that they can exchange what it computes.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, local_size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.local_rank, self.local_size = local_rank, local_size
        self.together = False
        self._store: Any = None
        self._joined = 0

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def told(self, value: Any = None) -> Any:
        """What rank 0 gives, on every rank."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        given = [value]
        with self._talking():
            dist.broadcast_object_list(given, src=0, device=_CPU)
        return given[0]

    def everyone(self, value: Any) -> list[Any]:
        """What each rank gives, in their order, on every rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        given: list[Any] = [None] * self.size
        with self._talking():
            dist.all_gather_object(given, value)
        return given

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Gives all ranks the numbers of rank 0."""
        if self.size == 1:
            return
        import torch.distributed as dist

        with self._talking(), torch.no_grad():
            for tensor in tensors:
                sent = tensor.detach().contiguous()
                dist.broadcast(sent, src=0)
                tensor.copy_(sent)

    @torch.no_grad()
    def average_gradients(self, parameters: Sequence[nn.Parameter], notes: Sequence[float]) -> list[float]:
        """Averages the gradients over the ranks, all in one message. What no rank has a gradient of keeps none.

        Args:
            notes: numbers that travel with them.

        Returns:
            The sums of the notes.
        """
        there = [parameter.grad is not None for parameter in parameters]
        # Zeros stand where a rank has no gradient; an optimizer would move what is given zeros by everyone.
        given = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        said = torch.tensor([*there, *notes], dtype=torch.float32, device=_CPU)
        flat = torch.cat([gradient.reshape(-1) for gradient in given]) if given else said.new_empty(0)
        if flat.device.type == "cpu":
            both = self._sum(torch.cat([flat, said]))
            flat, said = both.split([len(flat), len(said)])
        else:  # beside one another: reading what is on the device would wait for it
            flat, said = self._sum(flat), self._sum(said)
        counts = said.tolist()
        pieces = flat.div_(self.size).split([parameter.numel() for parameter in parameters])
        moved: list[Tensor] = []
        averaged: list[Tensor] = []
        for parameter, piece, count in zip(parameters, pieces, counts, strict=False):
            if count:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                moved.append(parameter.grad)
                averaged.append(piece.view(parameter.shape))
        if moved:
            torch._foreach_copy_(moved, averaged)  # pyright: ignore[reportPrivateImportUsage]
        return counts[len(parameters) :]

    def _sum(self, values: Tensor) -> Tensor:
        import torch.distributed as dist

        if values.numel():
            with self._talking():
                dist.all_reduce(values)
        return values

    # -- coming together, and falling apart ----------------------------------------------------------------------------

    def store(self) -> Any:
        """Where the processes leave notes for one another, as long as the one that started them lives."""
        if self._store is None:
            import torch.distributed as dist

            given = os.environ
            hosts = self.leads and not _agent()
            place = given["MASTER_ADDR"], int(given["MASTER_PORT"])
            options = {"is_master": hosts, "wait_for_workers": False, "timeout": timedelta(minutes=5)}
            store = dist.TCPStore(*place, **options)  # pyright: ignore[reportPrivateImportUsage]
            attempt = f"ganvas/{given.get('TORCHELASTIC_RESTART_COUNT', 0)}"
            self._store = dist.PrefixStore(attempt, store)  # pyright: ignore[reportPrivateImportUsage]
        return self._store

    def join(self, device: torch.device) -> None:
        import torch.distributed as dist

        if device.type == "cuda":
            torch.cuda.set_device(device)
        self.store().set(f"who/{self.rank}", f"process {os.getpid()} on {socket.gethostname()}")
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        self._joined += 1
        store = dist.PrefixStore(f"group/{self._joined}", self.store())  # pyright: ignore[reportPrivateImportUsage]
        with self._talking():
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=PATIENCE)

    def leave(self) -> None:
        """After the last thing was said: nobody goes before everyone has heard it."""
        import torch.distributed as dist

        if dist.is_initialized():
            self.everyone(None)
            dist.destroy_process_group()

    def speaks(self, message: str) -> bool:
        """Whether it is this rank that shows a message: of those that have the same to say, one does."""
        if self.size == 1:
            return True
        try:
            if not self.leads:  # what all say, rank 0 says
                self._await([0])
            first = self.store().add(f"message/{hashlib.blake2b(message.encode()).hexdigest()}", 1) == 1
            self.store().set(f"said/{self.rank}", "")
            if self.leads and not _agent():  # the notes go with this process
                self._await(range(self.size))
            return first
        except RuntimeError:  # nobody keeps the notes any more
            return True

    def _await(self, ranks: Iterable[int]) -> None:
        """Until these have said why they end, or do not in a while."""
        since, notes = time.monotonic(), [f"said/{rank}" for rank in ranks]
        while not self.store().check(notes) and time.monotonic() - since < HEARD:
            time.sleep(0.05)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise self._missed(error) from None

    def _missed(self, error: RuntimeError) -> Exception:
        """Who is gone, when an exchange failed; the error itself where everyone is there."""
        import torch.distributed as dist

        lost = RankLost("the process that the others meet at is gone")
        try:
            self.store().set(f"left/{self.rank}", "")
            # Those that wait for this process notice too, by its closing.
            closing = threading.Thread(target=_quietly, args=(dist.destroy_process_group,), daemon=True)
            closing.start()
            closing.join(2.0)
            since, gone = time.monotonic(), list(range(self.size))
            while len(gone) > 1 and time.monotonic() - since < ANSWERS:
                gone = [rank for rank in gone if not self.store().check([f"left/{rank}"])]
                time.sleep(0.05)
            if not gone:
                return error
            if self.rank != min(set(range(self.size)) - set(gone)):
                return RankLost("")  # one of those that are left tells it
            gone = [rank for rank in gone if not self.store().check([f"said/{rank}"])]  # the others said why
            names = [f"rank {rank} ({self.store().get(f'who/{rank}').decode()})" for rank in gone]
        except RuntimeError:
            return lost
        return RankLost(f"{' and '.join(names)} of {self.size} ended" if names else "")


def _agent() -> bool:
    """Whether torchrun keeps the notes, not rank 0."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


_CPU = torch.device("cpu")
_world: World | None = None


def world() -> World:
    """The processes of this training."""
    global _world
    if _world is None:
        _world = World(*launch())
    return _world


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The processes can speak to one another inside; one by itself has nobody to speak to."""
    here = world()
    import torch.distributed as dist

    if here.size == 1 or dist.is_initialized():
        yield here
        return
    here.join(device)
    yield here
    here.leave()


def _quietly(act: Any) -> None:
    with suppress(Exception):
        act()


# -- what updates exchange ---------------------------------------------------------------------------------------------


def gather(values: Tensor) -> Tensor:
    """What all processes of a training hold of a batch: (N, ...) of each -> (all N, ...), the same on every one.

    For what spans the batch: negatives, correlations, means inside a function. It is differentiable, twice too, and
    gives what it is given where one process trains, or where only one is at work (pictures, metrics).

    Args:
        values: as many in every process; in the order of the batch, so that rows that belong together stay so.
    """
    here = world()
    return _Gathered.apply(values) if here.size > 1 and here.together else values  # type: ignore[return-value]


class _Gathered(torch.autograd.Function):
    """All rows. The training minimises the mean of what the ranks compute, so each rank's rows hear from all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        import torch.distributed as dist

        here = world()
        found = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(here.size)]
        with here._talking():
            dist.all_gather(found, values.contiguous())
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Shared.apply(gradients[0])


class _Shared(torch.autograd.Function):
    """The sum over the ranks of what each has for all rows, of which each takes its own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        here = world()
        return here._sum(values.clone(memory_format=torch.contiguous_format)).chunk(here.size)[here.rank].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Gathered.apply(gradients[0])


# -- batch norm over all ranks -----------------------------------------------------------------------------------------


class _Synchronised(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose statistics while training are those of the batches of all ranks together."""

    def forward(self, input: Tensor) -> Tensor:
        here = world()
        if not self.training or here.size == 1 or not here.together:
            return super().forward(input)
        self._check_input_dim(input)
        with torch.autocast(input.device.type, enabled=False):
            values = input.to(torch.promote_types(input.dtype, torch.float32))
            axes = [0, *range(2, values.dim())]
            mean = gather(values.mean(axes)[None]).mean(0)
            column = [1, -1] + [1] * (values.dim() - 2)
            centred = values - mean.view(column)
            variance = gather(centred.square().mean(axes)[None]).mean(0)
            made = centred * (variance + self.eps).rsqrt().view(column)
            if self.affine:
                made = made * self.weight.view(column) + self.bias.view(column)
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                assert self.num_batches_tracked is not None
                self.num_batches_tracked.add_(1)
                share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
                number = here.size * values.numel() // values.shape[1]
                for running, now in ((self.running_mean, mean), (self.running_var, variance * number / (number - 1))):
                    running.lerp_(now.to(running.dtype), share)
        return made.to(input.dtype)


def synchronise_batch_norm(module: nn.Module) -> None:
    """Makes every batch norm inside one whose statistics span the ranks, in place; its parameters stay what they are.

    Raises:
        ValueError: a layer does more than batch norm.
    """
    for name, inner in module.named_modules():
        if not isinstance(inner, nn.modules.batchnorm._BatchNorm) or isinstance(inner, _Synchronised):
            continue
        cls = type(inner)
        if cls.forward is not nn.modules.batchnorm._BatchNorm.forward:
            raise ValueError(
                f"sync_batch_norm cannot synchronise {cls.__name__} ({name}), which does more than batch norm; "
                "leave sync_batch_norm out, or use a network with plain batch norm"
            )
        inner.__class__ = type(f"Synchronised{cls.__name__}", (_Synchronised, cls), {})
