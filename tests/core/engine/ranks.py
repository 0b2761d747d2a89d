"""Trainings in several processes, forked from one that has imported torch already. Imported by path in the tests."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# A server that has imported torch already forks children in no time; no thread of torch's runs in it, so that is safe.
processes = multiprocessing.get_context("forkserver")


def start(act: Callable[..., None], size: int, *given: Any, each: Sequence[Any] | None = None) -> list[Any]:
    """Runs ``act(rank, *given)``, or with ``each[rank]`` behind, as the ranks of a world; gives the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = each or [None] * size
    children = [
        processes.Process(target=_run, args=(act, rank, size, port, given if each is None else (*given, own[rank])))
        for rank in range(size)
    ]
    for child in children:
        child.start()
    return children


def ended(children: Sequence[Any]) -> list[int | None]:
    """Their exit statuses; those that hang are killed and have none."""
    for child in children:
        child.join(120)
    found = [child.exitcode for child in children]
    for child in children:
        child.kill()
        child.join()
    return found


def _run(act: Callable[..., None], rank: int, size: int, port: int, given: Sequence[Any]) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
    act(rank, *given)


def command(rank: int, spec: Path, runs: Path, said: Path, moment: Mapping[str, Any] | None) -> None:
    """``ganvas train`` with what it says in a file; ``moment`` as in ``killing.train``."""
    sys.path.insert(0, str(Path(__file__).parent))
    import killing

    from ganvas.cli.main import main

    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    killing.arm(moment)
    sys.argv = ["ganvas", "train", str(spec), "--runs", str(runs), "--device", "cpu"]
    main()


def exchange(rank: int, found: Path) -> None:
    """What the ranks exchange of small tensors, in a file of each."""
    import torch
    from torch import nn

    from ganvas import gather
    from ganvas.engine.parallel import joined, synchronise_batch_norm

    made: dict[str, Any] = {}
    with joined(torch.device("cpu")) as here:
        # Gradients: both ranks have one, only the second, none; and one that lies channels-last.
        both, second, none = (nn.Parameter(torch.zeros(2)) for _ in range(3))
        laid = nn.Parameter(torch.zeros(2, 3, 2, 2).contiguous(memory_format=torch.channels_last))
        both.grad = torch.tensor([1.0, 2.0]) * (rank + 1)
        second.grad = torch.tensor([4.0, 6.0]) if rank else None
        laid.grad = torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last) * rank
        made["notes"] = here.average_gradients([both, second, none, laid], [1, rank, 0])
        made["gradients"] = [parameter.grad for parameter in (both, second, none, laid)]
        made["dense"] = laid.grad.is_contiguous(memory_format=torch.channels_last)
        made["nothing"] = here.average_gradients([], [rank])
        made["told"] = here.told("first" if rank == 0 else "second")
        made["everyone"] = here.everyone({"rank": rank})
        aligned = torch.full((2, 3), float(rank)).T
        here.align([aligned])
        made["aligned"] = aligned

        # A function of the whole batch; its gradient, and the double backward that penalises its input's.
        whole = torch.arange(8.0).view(4, 2) / 10
        weight = nn.Parameter(torch.tensor([0.5, -0.3]))
        made["apart"] = gather(whole[:1])
        here.together = True
        made["gathered"] = gather(whole[2 * rank : 2 * rank + 2])
        mine = whole[2 * rank : 2 * rank + 2].clone().requires_grad_()
        z = gather(mine * weight)
        ((z @ z.T).tanh().mean()).backward()
        here.average_gradients([weight], [])
        made["first"] = weight.grad.clone()
        weight.grad = None
        mine = whole[2 * rank : 2 * rank + 2].clone().requires_grad_()
        z = gather(mine * weight)
        # Each rank minimises the same function, so the mean's slope is half of what a rank hears of all.
        (slope,) = torch.autograd.grad((z @ z.T).tanh().mean(), mine, create_graph=True)
        (slope / here.size).square().sum().backward()
        here.average_gradients([weight], [])
        made["second"] = weight.grad * here.size

        # Batch norm over both halves.
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2), nn.BatchNorm1d(2))
        synchronise_batch_norm(network)
        images = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(1))
        scores = network(images.chunk(2)[rank])
        (scores.tanh() * torch.tensor([1.0, 2.0])).square().mean().backward()
        here.average_gradients(list(network.parameters()), [])
        made["norm"] = {name: parameter.grad for name, parameter in network.named_parameters()}
        made["statistics"] = dict(network.named_buffers())
        made["scores"] = scores.detach()
        here.together = False
    torch.save(made, found / f"{rank}.pt")
