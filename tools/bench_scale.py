"""How ganvas' cost grows: with the batch, the image, the classes, the data set on the disk and the runs in a folder.

Time per iteration and peak memory, each in a process of its own, of one small conditional GAN in which one number
changes at a time; and the time of `ganvas table` over many runs. What should be flat is printed beside its smallest
case as a ratio:

    python tools/bench_scale.py [--steps 20] [--gigabytes 1.0] [--runs 200]
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor

import ganvas
from ganvas import DataField, Dataset
from ganvas.engine.training import Job, train
from ganvas.kinds.data import Data
from ganvas.kinds.networks import place

SIDE = 256  # of the images on the disk: as noise, 192 KiB each


class Noise(Dataset):
    """Random images with labels, in memory."""

    def __init__(self, size: int, classes: int, number: int = 2048) -> None:
        rng = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (number, 3, size, size), generator=rng, dtype=torch.uint8)
        self.labels = torch.arange(number) % classes
        self.names = [str(one) for one in range(classes)]

    @property
    def fields(self) -> Mapping[str, DataField]:
        shape = tuple(self.images.shape[1:])
        return {"images": DataField(shape), "labels": DataField((), "int64", (0, len(self.names) - 1))}

    @property
    def classes(self) -> list[str]:
        return self.names

    @property
    def fingerprint(self) -> str:
        return f"noise {tuple(self.images.shape)} {len(self.names)}"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"images": self.images[index], "labels": self.labels[index]}

    def tensors(self) -> dict[str, Tensor]:
        return {"images": self.images, "labels": self.labels}


def child(asked: Mapping[str, Any]) -> dict[str, float]:
    """Trains as asked; seconds per iteration after the first ones, and peak memory in MiB."""
    if asked["folder"]:
        dataset = ganvas.build("dataset", {"use": "image-folder", "root": asked["folder"], "in_memory": False})
        condition = "none"
    else:
        dataset, condition = Noise(asked["size"], asked["classes"]), "labels"
    data = Data(dataset)
    spec = {
        "use": "gan",
        "generator": {"use": "dcgan", "channels": 8, "latent": 16},
        "discriminator": {"use": "dcgan", "channels": 8, "norm": "none"},
        "condition": condition,
    }
    if condition == "labels":
        spec["discriminator"] |= {"head": "projection"}
    algorithm = ganvas.build("algorithm", spec, data)
    place(algorithm, torch.device("cpu"))
    points: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        adam = {"use": "adam", "lr": 2e-4}
        train(
            Job(
                name="bench",
                algorithm=algorithm,
                data=data,
                optimizers={side: ganvas.build("optimizer", adam) for side in ("generator", "discriminator")},
                steps=asked["steps"] + 5,
                batch_size=asked["batch"],
                seed=0,
                device=torch.device("cpu"),
                folder=Path(name),
                log_every=1,
                scalars=lambda index, images, values: points.append(time.perf_counter()),
            )
        )
    spent = [after - before for before, after in itertools.pairwise(points[5:])]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(spent), "peak": peak}


def measured(**asked: Any) -> dict[str, float]:
    given = {"size": 32, "classes": 10, "batch": 32, "folder": None} | asked
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(given)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def series(what: str, name: str, values: list[Any], per: str, **fixed: Any) -> None:
    """One number changes; ``per`` says what of it the time should be proportional to."""
    first: dict[str, float] = {}
    for value in values:
        found = measured(**{name: value}, **fixed)
        first = first or {**found, "value": value}
        grown = found["seconds"] / first["seconds"]
        size = {"square": (value / first["value"]) ** 2, "linear": value / first["value"], "flat": 1.0}[per]
        print(
            f"{what} {value}: {found['seconds'] * 1e3:.1f} ms per iteration, {grown:.2f} times the first "
            f"({grown / size:.2f} of what is due to size), peak {found['peak']:.0f} MiB",
            flush=True,
        )


def disk(gigabytes: float, steps: int) -> None:
    """Images that workers read from the disk: ten times as many must not need more memory."""
    rng = numpy.random.default_rng(0)
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        for share in (0.1, 1.0):
            folder = Path(name) / f"images-{share}"
            folder.mkdir()
            number = round(gigabytes * share * 2**30 / (SIDE * SIDE * 3))
            for index in range(number):
                pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=numpy.uint8)
                Image.fromarray(pixels).save(folder / f"{index:06d}.png", compress_level=0)
            found = measured(folder=str(folder), steps=steps, batch=8)
            peaks.append(found["peak"])
            print(
                f"{number} images on the disk, {gigabytes * share:.2f} GiB: {found['seconds'] * 1e3:.0f} ms per "
                f"iteration, peak {found['peak']:.0f} MiB",
                flush=True,
            )
    print(f"ten times the images: {peaks[1] / peaks[0]:.2f} times the memory")


def table(number: int) -> None:
    """`ganvas table` over many finished runs, which are copies of the record of one."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        spec = {
            "name": "many",
            "dataset": "digits",
            "stages": {
                "gan": {
                    "use": "gan",
                    "generator": {"use": "mlp", "widths": [8], "latent": 4},
                    "discriminator": {"use": "mlp", "widths": [8]},
                    "steps": 2,
                    "batch_size": 8,
                    "evaluate": {"metrics": [{"use": "diversity", "samples": 20}]},
                }
            },
        }
        (root / "spec.yaml").write_text(json.dumps(spec))
        run = ganvas.train(root / "spec.yaml", runs=root / "runs", device="cpu")
        record = json.loads((run.folders["gan"] / "stage.json").read_text())
        for copy in range(number - 1):
            folder = run.folders["gan"].with_name(f"{copy:012x}")
            folder.mkdir()
            (folder / "model.safetensors").touch()
            parts = record["parts"] | {"seed": str(copy % 5), "generator.latent": str(copy // 5)}
            (folder / "stage.json").write_text(json.dumps(record | {"key": folder.name, "parts": parts}))
        spent: list[float] = []
        for _ in range(3):
            begun = time.perf_counter()
            command = [sys.executable, "-m", "ganvas", "table", str(root / "runs" / "many")]
            subprocess.run(command, check=True, capture_output=True)
            spent.append(time.perf_counter() - begun)
    print(f"ganvas table of {number} runs: {statistics.median(spent):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of images on the disk")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(child(json.loads(asked.child))))
        return
    series("batch of", "batch", [16, 32, 64, 128], "linear", steps=asked.steps)
    series("side of", "size", [32, 64, 128], "square", steps=asked.steps)
    series("classes:", "classes", [10, 100, 1000], "flat", steps=asked.steps)
    disk(asked.gigabytes, asked.steps)
    table(asked.runs)


if __name__ == "__main__":
    main()
