"""How long the views of a batch take: ganvas's own, kornia's and torchvision's, one recipe, one process, in turns.

The recipe is SimCLR's: random resized crop (at least 0.2 of the area), flip, colour jitter (0.4, 0.4, 0.4, 0.1) with
probability 0.8, greyscale 0.2 and, at 96 pixels, a Gaussian blur of half the images. All work on float images that lie
on the device. What differs:

- ganvas: ``simclr-views``, drawn for each image, colours in a fixed order;
- kornia: its modules with ``same_on_batch=False``, drawn for each image, colours in a random order per batch; eager,
  and under ``torch.compile``;
- torchvision per image: its v2 transforms in a loop over the images, colours in a random order per image;
- torchvision per batch: the same transforms on the whole batch, which gives all its images the same crop, flip and
  colours. It is no alternative, since views of one batch must differ; it shows what drawing for each image costs.

Figures are medians over the rounds; the ratio to ganvas is the median of the rounds' ratios, since the contenders take
turns within a round. Run it on an idle machine:

    python tools/bench_augmentation.py [--rounds 15] [--threads 1 2] [--device cpu] [--no-compile]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from ganvas_plugins.augmentations.simclr_views import SimclrViews

SIZES = ((32, 256), (96, 64))  # side of the images, and how many
KERNEL = 11  # of the blur at 96 pixels, as simclr-views has it
STRENGTHS = (0.4, 0.4, 0.4, 0.1)

Contender = Callable[[Tensor], Tensor]


def ours(side: int, device: torch.device) -> Contender:
    """The component at the recipe's strengths, whatever the size."""
    views = SimclrViews(scale=(0.2, 1.0), jitter=0.5)
    rng = torch.Generator(device).manual_seed(0)
    return lambda images: views(images, "view", rng)


def kornias(side: int) -> nn.Module:
    parts: list[nn.Module] = [
        K.RandomResizedCrop((side, side), scale=(0.2, 1.0), cropping_mode="resample"),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(*STRENGTHS, p=0.8),
        K.RandomGrayscale(p=0.2),
    ]
    if side >= 64:
        parts.append(K.RandomGaussianBlur((KERNEL, KERNEL), (0.1, 2.0), p=0.5))
    return nn.Sequential(*parts)


def torchvisions(side: int) -> nn.Module:
    parts: list[nn.Module] = [
        v2.RandomResizedCrop(side, scale=(0.2, 1.0), antialias=False),
        v2.RandomHorizontalFlip(p=0.5),
        v2.RandomApply([v2.ColorJitter(*STRENGTHS)], p=0.8),
        v2.RandomGrayscale(p=0.2),
    ]
    if side >= 64:
        parts.append(v2.RandomApply([v2.GaussianBlur(KERNEL, (0.1, 2.0))], p=0.5))
    return nn.Sequential(*parts)


def contenders(side: int, device: torch.device, compiled: bool) -> dict[str, Contender]:
    per_image = torchvisions(side)
    found: dict[str, Contender] = {"ganvas": ours(side, device), "kornia": kornias(side)}
    if compiled:
        found["kornia compiled"] = torch.compile(kornias(side))
    found["torchvision per image"] = lambda images: torch.stack([per_image(image) for image in images])
    found["torchvision per batch"] = torchvisions(side)
    return found


def seconds(contender: Contender, images: Tensor) -> float:
    begun = time.perf_counter()
    contender(images)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - begun


def warm_up(found: dict[str, Contender], images: Tensor) -> None:
    """A few rounds for caches and compilers; who cannot run here leaves, with the reason."""
    for name, contender in list(found.items()):
        begun = time.perf_counter()
        try:
            for _ in range(6):  # kornia's random shapes recompile at first
                contender(images)
        except Exception as error:  # compilers fail in ways of their own
            print(f"  {name}: {type(error).__name__}: {str(error).partition(chr(10))[0][:100]}")
            del found[name]
        if name.endswith("compiled") and name in found:
            print(f"  {name}: {time.perf_counter() - begun:.0f} s to warm up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--no-compile", action="store_true")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore")
    for side, number in SIZES:
        images = torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(0)).to(chosen.device)
        found = contenders(side, chosen.device, not chosen.no_compile)
        for threads in chosen.threads:
            torch.set_num_threads(threads)
            print(f"{number} images of {side}x{side}, {chosen.device}, {threads} threads, {chosen.rounds} rounds")
            warm_up(found, images)
            times: dict[str, list[float]] = {name: [] for name in found}
            for _ in range(chosen.rounds):
                for name, contender in found.items():
                    times[name].append(seconds(contender, images))
            for name, taken in times.items():
                middle = statistics.median(taken)
                ratio = statistics.median(other / own for other, own in zip(taken, times["ganvas"]))
                print(
                    f"  {name:24} {middle * 1e3:8.1f} ms  (best {min(taken) * 1e3:7.1f})  "
                    f"{number / middle:9.0f} images/s  {ratio:6.2f} times ganvas"
                )


if __name__ == "__main__":
    main()
