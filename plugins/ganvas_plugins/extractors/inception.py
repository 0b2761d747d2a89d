"""Extractor ``inception``: the feature network of the Fréchet Inception distance, as clean-fid uses it."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torchvision.models.inception import Inception3, InceptionE

from ganvas import MissingData, cache_folder
from ganvas_plugins.extractors.pictures import PictureExtractor, folded

SIDE = 299
FILE = "pt_inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"  # the first digits of the file's SHA-256
ADDRESS = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"


class Inception(PictureExtractor):
    """The pooled last features, (N, 2048), of the Inception network that FID is defined by.

    The network is TensorFlow's of 2015-12-05. It differs from torchvision's Inception v3: average pooling inside the
    blocks leaves the padding out of its count, and the last block pools by the maximum.

    Images (N, 1 or 3, H, W) in [-1, 1] are rounded to 8 bits, as if they had been saved; grey ones are repeated.
    ``mode`` says how they come to 299x299, with clean-fid's names:

    - ``clean``: bicubic with antialiasing, as PIL resizes each channel in float;
    - ``legacy_pytorch``: bilinear without antialiasing (pytorch-fid);
    - ``legacy_tensorflow``: bilinear without antialiasing from TensorFlow 1's grid, in which pixel i lies at i, not at
      i + 1/2 (the original FID).

    The weights are those of pytorch-fid, a file of 91 MB that is looked for in the cache folder and in torch hub's, or
    named by ``weights``.

    Raises:
        MissingData: the weights are not there; the message says what to fetch and where to put it.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017;
    Parmar, Zhang & Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", 2022.
    """

    name = "inception"
    features = 2048
    classes = 1008

    def __init__(
        self,
        *,
        mode: Annotated[
            Literal["clean", "legacy_pytorch", "legacy_tensorflow"],
            Field(description="how images are resized to 299x299, as clean-fid calls it"),
        ] = "clean",
        weights: Annotated[Path | None, Field(description=f"file of weights, where it is not kept as {FILE}")] = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        if mode != "clean":
            self.name = f"inception-{mode.replace('_', '-')}"
        path, content = find_weights(weights)
        self.digest = hashlib.sha256(content).hexdigest()[:8]
        if weights is None and self.digest != DIGEST:
            raise MissingData(f"{path} is damaged; fetch {ADDRESS} again and put it there")
        self.network = fid_inception()
        if torch.get_default_device().type != "meta":
            self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.last, self.network.fc = self.network.fc, nn.Identity()  # what goes in is the pooled features
        self.network = folded(self.network)
        self.eval().requires_grad_(False)

    @property
    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.name, "weights": self.digest, "input": f"{SIDE}x{SIDE} {self.mode}, 8 bits"}

    def of_levels(self, values: Tensor) -> Tensor:
        resized = resize(values, self.mode).expand(-1, 3, -1, -1)
        return self.network((resized - 128) / 128)

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, 2048) -> logits (N, 1008), without the biases: so the Inception score has been computed."""
        return features @ self.last.weight.T

    def train(self, mode: bool = True) -> "Inception":
        return super().train(False)  # dropout and batch statistics have no place in a measurement


def find_weights(named: Path | None) -> tuple[Path, bytes]:
    """The file of weights and its content: the one that is named, or the first one found."""
    places = [named] if named else [cache_folder() / FILE, Path(torch.hub.get_dir()) / "checkpoints" / FILE]
    for place in places:
        if place.is_file():
            return place, place.read_bytes()
    if named:
        raise MissingData(f"no Inception weights at {named}; fetch {ADDRESS} and put it there")
    raise MissingData(
        f"the Inception weights are not here; fetch {ADDRESS} and put it at {places[0]} "
        f"(or measure with the extractor efficientnet-lite0, which needs no download)"
    )


def resize(levels: Tensor, mode: str) -> Tensor:
    """Levels in [0, 255], (N, C, H, W) -> (N, C, 299, 299), not rounded, as clean-fid does it in this mode."""
    if mode == "clean":
        return F.interpolate(levels, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    if mode == "legacy_pytorch":
        return F.interpolate(levels, (SIDE, SIDE), mode="bilinear", align_corners=False).clamp(0, 255)
    for axis in (2, 3):
        length = levels.shape[axis]
        place = torch.arange(SIDE, device=levels.device) * (length / SIDE)
        below = place.floor().long()
        above = (below + 1).clamp(max=length - 1)
        share = (place - below).view([-1 if dim == axis else 1 for dim in range(4)])
        levels = torch.lerp(levels.index_select(axis, below), levels.index_select(axis, above), share)
    return levels


class LastBlock(InceptionE):
    """The last block: its pooling branch takes the maximum where the others average."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([super().forward(x)[:, : -pooled.shape[1]], pooled], dim=1)


def fid_inception() -> Inception3:
    """TensorFlow's Inception network of 2015 with random weights, keyed as in pytorch-fid's file."""
    network = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    network.Mixed_7c = LastBlock(2048)
    for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b"):
        getattr(network, f"Mixed_{name}").branch_pool.register_forward_pre_hook(_without_padding)
    return network


def _without_padding(branch: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Turns a 3x3 average that counted the padding into one that did not: divides by the share of pixels inside."""
    (average,) = inputs
    return (average / F.avg_pool2d(torch.ones_like(average[:1, :1]), 3, stride=1, padding=1),)
