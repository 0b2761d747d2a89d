"""``dataset: template-name``."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated

import torch
from ganvas import DataField, Dataset
from pydantic import Field
from torch import Tensor


class Template(Dataset):
    """A bright spot on a dark ground, near one of K places on a ring: images whose distribution is known.

    Image i is of mode k = i mod K; its spot is a Gaussian around c = (½ + r cos θ, ½ + r sin θ) + ``jitter`` · ε with
    θ = 2π k / K, r = 0.3 and ε ~ N(0, I), as shares of the sides:

        x(u) = 255 exp(-‖u - c‖² / (2 ``width``²))

    What a generator leaves out is seen at once. ``images`` uint8 (1, H, W); ``labels`` 0 to K - 1. Nothing is fetched.

    Source: the ring of Gaussians of Metz et al., "Unrolled Generative Adversarial Networks", 2017, section 3.1, drawn
    as images.
    """

    def __init__(
        self,
        *,
        size: Annotated[
            int | tuple[int, int], Field(description="side of the square images, or height and width")
        ] = 32,
        samples: Annotated[int, Field(ge=1, description="number of images")] = 2000,
        modes: Annotated[int, Field(ge=1, description="K, the places on the ring")] = 10,
        jitter: Annotated[float, Field(ge=0, description="how far spots lie from their place, in shares")] = 0.02,
        width: Annotated[float, Field(gt=0, description="how wide a spot is, as a share of the sides")] = 0.06,
        seed: Annotated[int, Field(ge=0, lt=2**63, description="of the jitter")] = 0,
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if min(self.size) < 1:
            raise ValueError(f"size {size} is not an image size; give one number or [height, width], from 1 on")
        self.samples, self.modes, self.jitter, self.width, self.seed = samples, modes, jitter, width, seed

    @property
    def fields(self) -> Mapping[str, DataField]:
        return {"images": DataField((1, *self.size)), "labels": DataField((), "int64", (0, self.modes - 1))}

    @property
    def classes(self) -> Sequence[str]:
        return [f"place {number}" for number in range(self.modes)]

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self.size).encode() + self.tensors()["images"].numpy().tobytes()).hexdigest()

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.tensors().items()}

    def tensors(self) -> dict[str, Tensor]:
        return self._drawn

    @cached_property
    def _drawn(self) -> dict[str, Tensor]:
        with torch.device("cpu"):
            rng = torch.Generator().manual_seed(self.seed)
            labels = torch.arange(self.samples) % self.modes
            angles = labels * (2 * math.pi / self.modes)
            centres = 0.5 + 0.3 * torch.stack([angles.cos(), angles.sin()], dim=1)
            centres += self.jitter * torch.randn(self.samples, 2, generator=rng)
            across, down = (
                ((torch.arange(side) + 0.5) / side - centre[:, None]).square()
                for side, centre in zip((self.size[1], self.size[0]), centres.T, strict=True)
            )
            spots = torch.exp(-(down[:, :, None] + across[:, None, :]) / (2 * self.width**2))
        return {"images": (255 * spots).round().byte().unsqueeze(1), "labels": labels}
