"""What ganvas's engine costs over a hand-written loop: a ratio at a real size, microseconds on tiny networks.

Both train the same networks on the same data in one process, in turns, so that a slow moment of the machine hits
both. Figures are medians over the rounds. Run it on an idle machine:

    python tools/bench_overhead.py [--rounds 7] [--threads 2]
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from bare_loop import train as bare_train
from torch import Tensor, nn

import ganvas
from ganvas import Critique, Discriminator, Generator, Latents, hookimpl
from ganvas.engine.training import Job, Progress, train
from ganvas.kinds.data import Data
from ganvas.kinds.networks import place
from ganvas.kinds.options import Scheduled


class TinyGenerator(Generator):
    """Two dense layers."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.latents, self.sample_shape = Latents({"z": 8}), shape
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, math.prod(shape)), nn.Tanh())

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(latents).unflatten(1, self.sample_shape)


class TinyDiscriminator(Discriminator):
    """Two dense layers."""

    def __init__(self, shape: tuple[int, ...], condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Critique:
        return Critique(self.layers(samples).squeeze(1))


class Tiny:
    """Registers the two, as any plugin would."""

    @hookimpl
    def ganvas_components(self) -> dict[str, Any]:
        return {"generator": {"tiny": TinyGenerator}, "discriminator": {"tiny": TinyDiscriminator}}


ganvas.plugins.register(Tiny(), "tiny")

DCGAN = {"use": "dcgan", "channels": 32, "latent": 64, "prior": "normal", "norm": "none"}
SIZES: dict[str, dict[str, Any]] = {
    "tiny (dense, 8x8, batch 16)": {
        "data": "digits", "generator": "tiny", "discriminator": "tiny", "batch": 16, "steps": 1000,
    },
    "real (dcgan, 28x28, batch 64)": {
        "data": "mnist-5k", "generator": DCGAN, "discriminator": {"use": "global", "channels": 32},
        "batch": 64, "steps": 20,
    },
}  # fmt: skip


def engine(size: dict[str, Any], data: Data, folder: Path) -> float:
    """Seconds per iteration of ganvas."""
    networks = {name: size[name] for name in ("generator", "discriminator")}
    algorithm = ganvas.build("algorithm", {"use": "gan", "loss": "hinge", **networks}, data)
    place(algorithm, torch.device("cpu"))
    adam = {"use": "adam", "lr": 2e-4, "betas": [0.5, 0.999]}
    begun: list[float] = []
    job = Job(
        name="bench",
        algorithm=algorithm,
        data=data,
        optimizers={name: ganvas.build("optimizer", adam) for name in networks},
        steps=size["steps"],
        batch_size=size["batch"],
        seed=0,
        device=torch.device("cpu"),
        folder=folder,
        average=(Scheduled(1000), ["generator"]),
        started=lambda index: begun.append(time.perf_counter()),
        # The clock stops where the loop's last log point is: the state that follows is no part of an iteration.
        scalars=lambda index, images, values: begun.append(time.perf_counter()),
        progress=Progress(),
    )
    train(job)
    return (begun[-1] - begun[0]) / size["steps"]


def bare(size: dict[str, Any], images: Tensor) -> float:
    """Seconds per iteration of the hand-written loop."""
    shape = tuple(images.shape[1:])
    generator, discriminator = (ganvas.build(kind, size[kind], shape, None) for kind in ("generator", "discriminator"))
    begun = time.perf_counter()
    bare_train(generator, discriminator, images, size["steps"], size["batch"])
    return (time.perf_counter() - begun) / size["steps"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for name, size in SIZES.items():
        data = Data(ganvas.build("dataset", size["data"]))
        whole = data.dataset.tensors()
        assert whole is not None
        ours, theirs = [], []
        for number in range(chosen.rounds + 1):
            with tempfile.TemporaryDirectory() as folder:
                first, second = engine(size, data, Path(folder)), bare(size, whole["images"])
            if number:  # the first round warms up
                ours.append(first)
                theirs.append(second)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        extra = statistics.median(a - b for a, b in zip(ours, theirs)) * 1e6
        print(
            f"{name}: ganvas {statistics.median(ours) * 1e3:.2f} ms, bare loop "
            f"{statistics.median(theirs) * 1e3:.2f} ms, ratio {ratio:.3f}, {extra:+.0f} us per iteration "
            f"({chosen.rounds} rounds, {chosen.threads} threads)"
        )


if __name__ == "__main__":
    main()
