"""A small network that learns a data set's real classes or attributes, to judge what a generator draws."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganvas import Data, Segment
from ganvas_plugins.classifiers.targets import classification_loss, recovered
from ganvas_plugins.extractors.cache import cached

log = logging.getLogger("ganvas")

VERSION = 1  # of all below that changes the weights
FEATURES = 128
SIDE = 64  # longer sides are resampled to this many pixels before the network


class JudgeNetwork(nn.Module):
    """Convolutions, each followed by batch normalisation, ReLU and a 2x2 max pooling, then one hidden layer.

    Images (N, C, H, W) in [-1, 1] of any size -> features (N, 128), logits (N, K).
    """

    def __init__(self, shape: Sequence[int], outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        filters = 16
        height, width = _reduced(height, width)
        while min(height, width) > 4 or not layers:
            layers += [
                nn.Conv2d(channels, filters, 3, padding=1, bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            channels, filters = filters, min(2 * filters, 64)
            height, width = -(-height // 2), -(-width // 2)
        self.trunk = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * height * width, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, outputs)

    def embed(self, images: Tensor) -> Tensor:
        return self.trunk(_small(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))


@dataclass(frozen=True)
class Judge:
    """A trained network and how far it can be trusted.

    Attributes:
        network: in eval mode, frozen.
        accuracy: share of the classes (or attributes) of held-out real images that it recovers.
        protocol: all that its weights depend on.
    """

    network: JudgeNetwork
    accuracy: float
    protocol: Mapping[str, Any]


def fit_classifier(
    data: Data,
    targets_of: Callable[[Mapping[str, Tensor]], Tensor],
    segments: Sequence[Segment],
    *,
    steps: int = 500,
    batch: int = 100,
    holdout: float = 0.1,
    limit: int = 50_000,
    seed: int = 0,
) -> Judge:
    """Trains a judge on real images, or takes it from the cache.

    It is trained as ``train`` says. Nothing depends on or disturbs the caller's random numbers, gradient mode or
    networks.

    Args:
        data: the real images.
        targets_of: batch -> (N, K), zeros and ones.
        segments: what the K numbers mean: ``one-hot`` and ``binary`` ones.
        steps: optimizer steps.
        batch: images per step.
        holdout: share of the images that it is tested on instead of trained.
        limit: most images that it looks at, evenly spread over the data.
        seed: of the weights, the split, the batches and the augmentation.
    """
    with _undisturbed(data.device):
        targets = torch.cat([targets_of(part).detach().float().cpu() for part in _every(data, limit)])
        protocol = {
            "judge": VERSION,
            "data": data.identity,
            "shape": list(data.shape),
            "targets": digest(targets),
            "segments": [asdict(segment) for segment in segments],
            "options": [steps, batch, holdout, limit, seed],
        }

        def make() -> dict[str, Tensor]:
            return _fit(data, targets, segments, steps, batch, holdout, limit, seed)

        state = cached("judge", protocol, make)
        accuracy = float(state.pop("accuracy"))
        # on the meta device, because weights that are overwritten need no random numbers
        with torch.device("meta"):
            network = JudgeNetwork(data.shape, targets.shape[1])
        network.load_state_dict(state, assign=True)
    return Judge(network.to(data.device).eval().requires_grad_(False), accuracy, protocol)


def train(
    images: Tensor, targets: Tensor, segments: Sequence[Segment], *, steps: int = 500, batch: int = 100, seed: int = 0
) -> JudgeNetwork:
    """A network that learned these images alone, in eval mode.

    Adam with a one-cycle rate up to 8e-3, label smoothing 0.05; each image is turned, scaled and shifted a little
    (0.2 rad, 10 %, 6 % of the sides).

    Args:
        images: uint8 (N, C, h, w), of ``stored``.
        targets: (N, K), zeros and ones, on the same device.
        segments: what the K numbers mean.
        steps: optimizer steps.
        batch: images per step.
        seed: of the weights, the batches and the augmentation.
    """
    device = images.device
    with _undisturbed(device):
        rng = torch.Generator(device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.random.default_generator.manual_seed(seed)
            network = JudgeNetwork(images.shape[1:], targets.shape[1])
        network = network.to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=8e-3)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=8e-3, total_steps=steps)
        for _ in range(steps):
            chosen = torch.randint(len(images), (batch,), generator=rng, device=device)
            logits = network(_moved(_as_float(images[chosen]), rng))
            loss = classification_loss(logits, targets[chosen], segments, smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: JudgeNetwork, images: Tensor, targets: Tensor, segments: Sequence[Segment]) -> Tensor:
    """The share of the classes (or attributes) of stored images that it recovers, a scalar in float64."""
    logits = torch.cat([network(_as_float(part)) for part in images.split(256)])
    return recovered(logits, targets, segments).double().mean()


def stored(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] as the network sees them, at 64 pixels a side at the most, in 8 bits."""
    return _small(images).mul(127.5).add(127.5).round().clamp(0, 255).byte()


def digest(targets: Tensor) -> str:
    """Of targets (N, K)."""
    return hashlib.sha256(targets.cpu().numpy().tobytes()).hexdigest()[:20]


def _fit(
    data: Data,
    targets: Tensor,
    segments: Sequence[Segment],
    steps: int,
    batch: int,
    holdout: float,
    limit: int,
    seed: int,
) -> dict[str, Tensor]:
    log.info("training a judge on %d real images (once; it is kept)", len(targets))
    images = torch.cat([stored(part["images"]) for part in _every(data, limit)])
    targets = targets.to(data.device)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(data.device)
    held = max(1, round(holdout * len(images)))
    tested, trained = order[:held], order[held:]
    network = train(images[trained], targets[trained], segments, steps=steps, batch=batch, seed=seed)
    return {**network.state_dict(), "accuracy": accuracy(network, images[tested], targets[tested], segments)}


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """A training in the midst of somebody's measurement: with gradients, in full precision."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        yield


def _every(data: Data, limit: int):
    """The batches of the data, or of ``limit`` evenly spread samples where there are more."""
    number = len(data)
    for part in data.batches():
        index = part["index"]
        if number > limit:
            kept = index * limit // number != (index + 1) * limit // number
            part = {name: values[kept] for name, values in part.items()}
        yield part


def _reduced(height: int, width: int) -> tuple[int, int]:
    factor = min(1.0, SIDE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _small(images: Tensor) -> Tensor:
    size = _reduced(*images.shape[-2:])
    if size == tuple(images.shape[-2:]):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def _as_float(images: Tensor) -> Tensor:
    return images.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def _moved(images: Tensor, rng: torch.Generator) -> Tensor:
    draws = torch.rand(4, len(images), generator=rng, device=images.device) * 2 - 1
    angle, scale = 0.2 * draws[0], 1 + 0.1 * draws[1]
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    affine = torch.stack([cosine, -sine, 0.12 * draws[2], sine, cosine, 0.12 * draws[3]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
