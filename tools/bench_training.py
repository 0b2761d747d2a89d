"""Training side by side in one run: ganvas, a hand-tuned loop, torch-mimicry's trainer and torchgan's trainer.

Every candidate trains the same shapes with the hinge loss on the same random images, in a process of its own, in turns;
an iteration ends where the generator is asked for its next first fakes, and figures are medians over all iterations
after the first ones of all rounds. The loop and ganvas train the same networks; the trainers of the peers train their
own of the same sizes, as they are shipped: with their data loaders and their logs.

    pip install --no-deps --target peers torch-mimicry torchgan
    python tools/bench_training.py --peers peers [--width 256] [--rounds 3] [--steps 4] [--only sngan]

torch-mimicry asks for TensorFlow, scikit-image and a part of torch that is gone, and torchgan for two loggers: what
training does not use of them is replaced by stand-ins. Without --peers the two are left out. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from bare_loop import train as bare_train
from bench_scale import Noise
from torch import nn

import ganvas
from ganvas.engine.training import Job, train
from ganvas.kinds.data import Data
from ganvas.kinds.networks import place
from ganvas.kinds.options import Scheduled

BATCH = 64
LATENT = 128
WARM = 1  # iterations that are not counted


def sizes(width: int) -> dict[str, dict[str, Any]]:
    sngan = {
        "side": 32,
        "generator": {"use": "resnet", "channels": width, "latent": LATENT},
        "discriminator": {"use": "resnet", "channels": width // 2},
        "peers": ("mimicry",),
        "width": width,
    }
    narrow = {"channels": 16, "max_channels": 64}
    return {
        "sngan-32, 1 critic step": {**sngan, "repeat": 1},
        "sngan-32, 5 critic steps": {**sngan, "repeat": 5},
        "dcgan-64, 16 channels": {
            "side": 64,
            "generator": {"use": "dcgan", "channels": 16, "latent": LATENT},
            "discriminator": {"use": "dcgan", "channels": 16},
            "peers": ("torchgan",),
            "repeat": 1,
        },
        "eigengan-32, small": {
            "side": 32,
            "generator": {"use": "eigengan", "channels": 16, "noise": 64, "hidden": 64},
            "discriminator": {"use": "global", "channels": 16},
            "repeat": 1,
        },
        "stylegan2-32": {
            "side": 32,
            "generator": {"use": "stylegan2", "latent": 64, "style": 64, **narrow},
            "discriminator": {"use": "stylegan2", **narrow},
            "repeat": 1,
        },
        "r3gan-32": {
            "side": 32,
            "generator": {"use": "r3gan", "latent": 64, **narrow},
            "discriminator": {"use": "r3gan", **narrow},
            "repeat": 1,
        },
    }


class Timer:
    """Notes when the generator is called; an iteration has so many calls."""

    def __init__(self, generator: nn.Module, calls: int) -> None:
        self.calls, self.times = calls, []
        forward = generator.forward

        def noted(*given: Any, **named: Any) -> Any:
            self.times.append(time.perf_counter())
            return forward(*given, **named)

        generator.forward = noted  # not a hook: torch-mimicry calls the method itself

    def iterations(self) -> list[float]:
        starts = self.times[:: self.calls]
        return [after - before for before, after in itertools.pairwise(starts)][WARM:]


# -- candidates: each trains for some steps, and gives the seconds of each iteration ---------------------------------


def of_ganvas(size: dict[str, Any], steps: int, precision: str) -> list[float]:
    data = Data(Noise(size["side"], 2))
    networks = {name: size[name] for name in ("generator", "discriminator")}
    asked = {"use": "gan", "loss": "hinge", "discriminator_steps": size["repeat"], **networks}
    algorithm = ganvas.build("algorithm", asked, data)
    place(algorithm, torch.device("cpu"))
    adam = {"use": "adam", "lr": 2e-4, "betas": [0.5, 0.999]}
    timer = Timer(algorithm.networks()["generator"], size["repeat"] + 1)
    with tempfile.TemporaryDirectory() as folder:
        train(
            Job(
                name="bench",
                algorithm=algorithm,
                data=data,
                optimizers={name: ganvas.build("optimizer", adam) for name in networks},
                steps=steps,
                batch_size=BATCH,
                seed=0,
                device=torch.device("cpu"),
                folder=Path(folder),
                average=(Scheduled(1000), ["generator"]),
                bf16=precision == "bf16",
            )
        )
    return timer.iterations()


def of_bare_loop(size: dict[str, Any], steps: int, precision: str) -> list[float]:
    images = Noise(size["side"], 2).images
    shape = tuple(images.shape[1:])
    generator, discriminator = (ganvas.build(kind, size[kind], shape, None) for kind in ("generator", "discriminator"))
    timer = Timer(generator, size["repeat"] + 1)
    options = {"discriminator_steps": size["repeat"], "bf16": precision == "bf16"}
    bare_train(generator, discriminator, images, steps, BATCH, **options)
    return timer.iterations()


def of_mimicry(size: dict[str, Any], steps: int, precision: str) -> list[float]:
    from torch_mimicry.nets.sngan.sngan_32 import SNGANDiscriminator32, SNGANGenerator32
    from torch_mimicry.training import Trainer

    generator = SNGANGenerator32(nz=LATENT, ngf=size["width"])
    discriminator = SNGANDiscriminator32(ndf=size["width"] // 2)
    timer = Timer(generator, size["repeat"] + 1)
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            netD=discriminator,
            netG=generator,
            optD=torch.optim.Adam(discriminator.parameters(), 2e-4, betas=(0.5, 0.999)),
            optG=torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999)),
            dataloader=_loader(size),
            n_dis=size["repeat"],
            num_steps=steps,
            log_dir=folder,
            device=torch.device("cpu"),
        ).train()
    return timer.iterations()


def of_torchgan(size: dict[str, Any], steps: int, precision: str) -> list[float]:
    import torchvision
    from torchgan import losses, models
    from torchgan.trainer import Trainer

    # Its picture after the last iteration asks for an argument that torchvision has dropped.
    make_grid = torchvision.utils.make_grid
    torchvision.utils.make_grid = lambda images, range=None, **options: make_grid(images, **options)
    networks = {
        "generator": {
            "name": models.DCGANGenerator,
            "args": {"encoding_dims": LATENT, "out_size": size["side"], "out_channels": 3, "step_channels": 16},
            "optimizer": {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}},
        },
        "discriminator": {
            "name": models.DCGANDiscriminator,
            "args": {"in_size": size["side"], "in_channels": 3, "step_channels": 16},
            "optimizer": {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            networks,
            [losses.MinimaxGeneratorLoss(), losses.MinimaxDiscriminatorLoss()],  # it has no hinge loss
            device=torch.device("cpu"),
            epochs=1,
            sample_size=8,
            checkpoints=f"{folder}/model",
            recon=folder,
            log_dir=folder,
        )
        timer = Timer(trainer.generator, 2)
        trainer(_loader(size, steps * BATCH))
    return timer.iterations()


def _loader(size: dict[str, Any], number: int = 2048) -> Any:
    """What the peers' examples have: a data loader with workers over images in memory, here without decoding them."""
    noise = Noise(size["side"], 2)
    images = noise.images.float().div(127.5).sub(1)[:number]
    pairs = torch.utils.data.TensorDataset(images, noise.labels[:number])
    workers = os.cpu_count() or 1
    return torch.utils.data.DataLoader(pairs, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers)


CANDIDATES: dict[str, Callable[[dict[str, Any], int, str], list[float]]] = {
    "ganvas": of_ganvas,
    "bare loop": of_bare_loop,
    "mimicry": of_mimicry,
    "torchgan": of_torchgan,
}


class StandIns:
    """Finds what the peers import and training does not use."""

    names = ("tensorflow", "skimage", "tensorboardX", "visdom", "torch._six")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.startswith(self.names) else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        made = MagicMock()
        made.__path__, made.__name__, made.__spec__ = [], spec.name, spec
        return made

    def exec_module(self, module: types.ModuleType) -> None: ...


def child(name: str, size: dict[str, Any], steps: int, precision: str, peers: str | None) -> None:
    if peers is not None:
        sys.path.append(peers)
        sys.meta_path.append(StandIns())  # type: ignore[arg-type]
    print(json.dumps(CANDIDATES[name](size, steps + WARM + 1, precision)))


def measured(name: str, size: dict[str, Any], steps: int, precision: str, peers: str | None) -> list[float]:
    given = json.dumps({"name": name, "size": size, "steps": steps, "precision": precision, "peers": peers})
    done = subprocess.run([sys.executable, __file__, "--child", given], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(title: str, size: dict[str, Any], asked: argparse.Namespace) -> None:
    turns: list[tuple[str, str]] = [("ganvas", "float32"), ("bare loop", "float32")]
    turns += [(peer, "float32") for peer in size.get("peers", ()) if asked.peers]
    turns += [(name, "bf16") for name in ("ganvas", "bare loop")] if asked.bf16 else []
    seconds: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
    for _ in range(asked.rounds):
        for turn in turns:
            seconds[turn] += measured(turn[0], size, asked.steps, turn[1], asked.peers)
    middle = {turn: statistics.median(spent) for turn, spent in seconds.items()}
    print(f"{title}, batch {BATCH}, {len(seconds['ganvas', 'float32'])} iterations each:")
    for (name, precision), spent in middle.items():
        faster = spent / middle["ganvas", precision]
        print(f"  {name}, {precision}: {spent * 1e3:.1f} ms; ganvas in {precision} is {faster:.2f} times as fast")
    for peer in (turn for turn in turns if turn[0] in size.get("peers", ()) and asked.bf16):
        print(
            f"  ganvas in bf16 is {middle[peer] / middle['ganvas', 'bf16']:.2f} times as fast as {peer[0]}", flush=True
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=lambda text: str(Path(text).resolve()), help="where the peers are installed")
    parser.add_argument("--width", type=int, default=256, help="channels of SNGAN's generator")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="counted iterations in each round")
    parser.add_argument("--only", default="", help="sizes whose names begin so")
    parser.add_argument("--no-bf16", dest="bf16", action="store_false")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.child:
        child(**json.loads(asked.child))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for title, size in sizes(asked.width).items():
        if title.startswith(asked.only):
            compare(title, size, asked)


if __name__ == "__main__":
    main()
