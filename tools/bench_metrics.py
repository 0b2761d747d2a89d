"""A whole evaluation against clean-fid, and the Fréchet distance against scipy's matrix root, side by side in one run.

The evaluation: FID between two folders of PNG files with EfficientNet-Lite0's features, decoding included. clean-fid
gets the same network (as timm builds it), the same input size and its own resize, and the better of no workers and one
for each core. ganvas is asked as a user asks it, by a spec with a stage `evaluation`: once with nothing kept, and once
for other fakes when the statistics of the real images are kept already. The values must agree.

The distance: between Gaussians of 2,048 dimensions, from features of 5,000 images on either side, by our symmetric
eigenvalues, by scipy's matrix root as clean-fid has it, and by torchmetrics where it is installed.

Everything runs in turns, each evaluation in a process of its own; figures are medians over the rounds. Run it on an
idle machine:

    python tools/bench_metrics.py [--images 5000] [--size 32] [--rounds 1] [--dimensions 2048]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_start_method
from pathlib import Path
from typing import Any

import numpy
import timm
import torch
from cleanfid import fid as cleanfid
from PIL import Image
from scipy import linalg
from torch import Tensor, nn
from torchvision.utils import save_image

import ganvas
from ganvas_plugins.backbones.efficientnet_lite0 import MODEL, package_weights
from ganvas_plugins.extractors.efficientnet_lite0 import SIDE
from ganvas_plugins.metrics.frechet import Moments, frechet_distance

SPEC = """
name: bench
dataset: {{use: image-folder, root: {real}}}
stages:
  measured: {{use: evaluation, of: {fake}, metrics: [{{use: fid, extractor: efficientnet-lite0, samples: {number}}}]}}
"""


def timed(function: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    begun = time.perf_counter()
    value = function(*given)
    return time.perf_counter() - begun, value


def apart(function: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """The same in a process of its own: what one package sets for its process helps no other."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(timed, function, *given).result()


def write_folder(folder: Path, number: int, size: int, noise: float, seed: int) -> Path:
    """Images of digits in colour, with noise: as good as any for what is measured here."""
    grey = ganvas.build("dataset", {"use": "mnist-5k", "size": size}).tensors()["images"].float() / 255
    rng = torch.Generator().manual_seed(seed)
    folder.mkdir()
    for index in range(number):
        image = grey[index % len(grey)] * torch.rand(3, 1, 1, generator=rng)
        save_image((image + noise * torch.rand(3, size, size, generator=rng)).clamp(0, 1), folder / f"{index:05d}.png")
    return folder


class Network(nn.Module):
    """What clean-fid calls: levels (N, 3, H, W) in [0, 255] -> features."""

    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model(MODEL)
        self.network.load_state_dict(package_weights())
        self.eval()

    def forward(self, levels: Tensor) -> Tensor:
        return self.network.forward_head(self.network.forward_features(levels / 127.5 - 1), pre_logits=True)


def resized(image: numpy.ndarray) -> numpy.ndarray:
    """As clean-fid resizes, each channel in float by Pillow's bicubic filter, to another side than its 299."""
    channels = [Image.fromarray(image[:, :, c].astype(numpy.float32), mode="F") for c in range(3)]
    channels = [numpy.asarray(one.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in channels]
    return numpy.stack(channels, axis=2).clip(0, 255)


def clean_fid(real: Path, fake: Path, workers: int) -> float:
    set_start_method("fork", force=True)  # its loader's workers cannot be spawned
    return cleanfid.compute_fid(
        str(real),
        str(fake),
        custom_feat_extractor=Network(),
        custom_fn_resize=resized,
        num_workers=workers,
        batch_size=32,
        device=torch.device("cpu"),
        use_dataparallel=False,
        verbose=False,
    )


def ours(root: Path, real: Path, fake: Path, number: int) -> float:
    spec = root / "spec.yaml"
    spec.write_text(SPEC.format(real=real, fake=fake, number=number))
    run = ganvas.train(spec, runs=Path(tempfile.mkdtemp(dir=root)), device="cpu")
    return run.metrics("measured")["fid@efficientnet-lite0"]["value"]


def evaluation(number: int, size: int, rounds: int) -> None:
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        real = write_folder(root / "real", number, size, 0.1, 0)
        fakes = [write_folder(root / f"fake{one}", number, size, 0.2, 1 + one) for one in range(2)]
        for turn in range(rounds):
            values: dict[str, float] = {}
            os.environ["GANVAS_CACHE"] = str(root / f"cache{turn}")
            turns: dict[str, tuple[Any, ...]] = {
                f"clean-fid, {workers} workers": (clean_fid, real, fakes[0], workers)
                for workers in (0, os.cpu_count() or 1)
            }
            turns["ganvas"] = (ours, root, real, fakes[0], number)
            turns["ganvas, real kept"] = (ours, root, real, fakes[1], number)
            for what, call in turns.items():
                spent, values[what] = apart(*call)
                seconds.setdefault(what, []).append(spent)
                print(f"  {what}: {spent:.1f} s, FID {values[what]:.6f}", flush=True)
            difference = abs(values["ganvas"] / values["clean-fid, 0 workers"] - 1)
            print(f"  the values differ by {difference:.1e} of themselves")
    peer = min(statistics.median(spent) for what, spent in seconds.items() if what.startswith("clean"))
    for what in ("ganvas", "ganvas, real kept"):
        print(f"{what}: {peer / statistics.median(seconds[what]):.2f} times as fast as clean-fid")


def distance(dimensions: int, number: int, rounds: int) -> None:
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(dimensions, dimensions, generator=rng) / dimensions**0.5
    features = [torch.randn(number, dimensions, generator=rng) @ mixing + 0.1 * side for side in range(2)]
    moments = [Moments.of(part) for part in features]
    given = [part for one in moments for part in (one.mean.numpy(), one.covariance.numpy())]

    def matrix_root() -> float:
        mean1, covariance1, mean2, covariance2 = given
        root = linalg.sqrtm(covariance1 @ covariance2)
        between = mean1 - mean2
        return float(
            between @ between + numpy.trace(covariance1) + numpy.trace(covariance2) - 2 * numpy.trace(root.real)
        )

    ways: dict[str, Callable[[], float]] = {
        "ganvas": lambda: frechet_distance(*moments),
        "scipy.linalg.sqrtm": matrix_root,
    }
    try:
        from torchmetrics.image.fid import _compute_fid

        tensors = [torch.from_numpy(part) for part in given]
        ways["torchmetrics"] = lambda: float(_compute_fid(*tensors))
    except ImportError:
        print("torchmetrics is not installed: its figure is left out")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    values: dict[str, float] = {}
    for _ in range(rounds):
        for way, run in ways.items():
            spent, values[way] = timed(run)
            seconds[way].append(spent)
    mine = statistics.median(seconds["ganvas"])
    for way, spent in seconds.items():
        middle, difference = statistics.median(spent), abs(values[way] / values["ganvas"] - 1)
        print(f"{way}: {middle:.2f} s, {middle / mine:.2f} times ganvas' time; value differs by {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000, help="in each folder")
    parser.add_argument("--size", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dimensions", type=int, default=2048, help="of the distance's features")
    asked = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"Fréchet distance, {asked.dimensions} dimensions, features of 5,000 images")
    distance(asked.dimensions, 5000, asked.rounds + 2)
    print(f"FID of {asked.images} against {asked.images} PNG files of {asked.size}x{asked.size}, EfficientNet-Lite0")
    evaluation(asked.images, asked.size, asked.rounds)


if __name__ == "__main__":
    main()
