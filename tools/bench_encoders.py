"""The self-supervised stage against lightly: the same backbone, batch, views and optimizer, images per second.

Both train SimCLR on the same 5,000 images in memory, in turns in one process; figures are medians over the rounds.
lightly makes its views as its documentation shows, image by image in a data loader, here with none and with as many
workers as there are cores, of which the faster counts. Run it on an idle machine, with the extra `reference`:

    pip install -e '.[reference]'
    python tools/bench_encoders.py [--rounds 5] [--size 32] [--batch 256] [--model test_resnet]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

import ganvas
from ganvas import DataField, Dataset
from ganvas.engine.training import Job, train
from ganvas.kinds.data import Data
from ganvas.kinds.networks import place

STEPS = 8


class Colours(Dataset):
    """The digits of MNIST-5k as RGB images, each channel with a brightness of its own."""

    def __init__(self, size: int) -> None:
        grey = ganvas.build("dataset", {"use": "mnist-5k", "size": size}).tensors()["images"]
        factors = torch.linspace(0.5, 1.0, 3 * len(grey)).view(-1, 3, 1, 1)
        self.images = (grey * factors).to(torch.uint8)

    @property
    def fields(self) -> Mapping[str, DataField]:
        return {"images": DataField(tuple(self.images.shape[1:]))}

    @property
    def fingerprint(self) -> str:
        return f"colours {tuple(self.images.shape)}"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"images": self.images[index]}

    def tensors(self) -> dict[str, Tensor]:
        return {"images": self.images}


def engine(data: Data, model: str, batch: int, steps: int) -> float:
    """Seconds per step of ganvas."""
    backbone = {"use": "timm", "model": model, "stem": "original"}
    algorithm = ganvas.build("algorithm", {"use": "self-supervised", "encoder": "simclr", "backbone": backbone}, data)
    place(algorithm, torch.device("cpu"))
    begun: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            name="bench",
            algorithm=algorithm,
            data=data,
            optimizers={"encoder": ganvas.build("optimizer", {"use": "adam", "lr": 3e-4})},
            steps=steps,
            batch_size=batch,
            seed=0,
            device=torch.device("cpu"),
            folder=Path(folder),
            log_every=steps,
            started=lambda index: begun.append(time.perf_counter()),
            scalars=lambda index, images, values: begun.append(time.perf_counter()),
        )
        train(job)
    return (begun[-1] - begun[0]) / steps


class Pictures(torch.utils.data.Dataset):
    """What a data loader of lightly's reads: PIL images through a transform."""

    def __init__(self, images: Tensor, transform: object) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Tensor]:
        return self.transform(self.images[index])  # type: ignore[operator]


def lightly(data: Data, model: str, batch: int, steps: int, workers: int) -> float:
    """Seconds per step of lightly's modules in the loop of its documentation."""
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform

    size = data.shape[-1]
    transform = SimCLRTransform(input_size=size, gaussian_blur=0.0, normalize={"mean": [0.5] * 3, "std": [0.5] * 3})
    images = data.dataset.tensors()["images"]  # type: ignore[index]
    loader = torch.utils.data.DataLoader(
        Pictures(images, transform), batch, shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    backbone = ganvas.build("backbone", {"use": "timm", "model": model, "stem": "original"}, data.shape)
    network = nn.Sequential(backbone, SimCLRProjectionHead(backbone.features, backbone.features, 128))
    place(network, torch.device("cpu"))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4, fused=True)
    criterion = NTXentLoss(temperature=0.5)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    next(batches)  # the workers have started
    begun = time.perf_counter()
    for _ in range(steps):
        first, second = next(batches)
        loss = criterion(network(first), network(second))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (time.perf_counter() - begun) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--model", default="test_resnet")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    data = Data(Colours(chosen.size))
    engine(data, chosen.model, chosen.batch, 2)  # the first round warms up
    choices = (0, os.cpu_count() or 1)
    ours: list[float] = []
    theirs: dict[int, list[float]] = {workers: [] for workers in choices}
    for _ in range(chosen.rounds):
        ours.append(engine(data, chosen.model, chosen.batch, STEPS))
        for workers in choices:
            theirs[workers].append(lightly(data, chosen.model, chosen.batch, STEPS, workers))
    print(f"SimCLR, {chosen.model}, {chosen.size}x{chosen.size} RGB, batch {chosen.batch}, {chosen.threads} threads")
    print(f"  ganvas                 {chosen.batch / statistics.median(ours):8.0f} images/s")
    for workers, seconds in theirs.items():
        ratio = statistics.median(b / a for a, b in zip(ours, seconds))
        speed = chosen.batch / statistics.median(seconds)
        print(f"  lightly, {workers} workers     {speed:8.0f} images/s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
