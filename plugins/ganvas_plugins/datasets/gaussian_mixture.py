"""Points in the plane around known centres."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import DataField, Dataset


class GaussianMixture(Dataset):
    """A mixture of equal round Gaussians in the plane: the toy on which lost modes can be counted.

    ``images`` float32 (2, 1, 1), a point in [-1, 1]²; ``labels`` the mode it was drawn from, each equally often. The
    modes lie on a circle (``ring``), or on a square of as many rows as columns (``grid``). Lengths are in units of
    their own: a point is divided by 1.5 ``radius`` + 5 ``deviation``, so that the modes lie where tanh is not yet flat;
    what then is outside [-1, 1] is put on its border.
    ``centres`` and ``spread`` say where the modes are and how wide, in the units of the samples.

    Raises:
        ValueError: a grid of a number of modes that is no square.

    Source: the ring of 8 (radius 2, deviation 0.02) and the grid of 25 (2 apart, deviation 0.05) of Metz et al.,
    "Unrolled Generative Adversarial Networks", 2017, and Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs
    using Implicit Variational Learning", 2017.
    """

    # A point is no picture: it wants dense layers, and the metrics of images say nothing of it.
    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan": {
            "use": "gan",
            "dataset": ...,
            "generator": "mlp",
            "discriminator": "mlp",
            "regularizers": [{"use": "r1", "weight": 0.02}],
            "steps": 500,
            "evaluate": {"metrics": []},
        }
    }

    def __init__(
        self,
        *,
        layout: Annotated[Literal["ring", "grid"], Field(description="where the modes lie")] = "ring",
        modes: Annotated[int | None, Field(ge=1, description="how many; if none, 8 on a ring, 25 on a grid")] = None,
        radius: Annotated[
            float | None,
            Field(gt=0, description="of the ring, or half a side of the grid; if none, 2, and 4 of a grid"),
        ] = None,
        deviation: Annotated[
            float | None,
            Field(gt=0, description="of a mode, in each direction; if none, 0.02, and 0.05 on a grid"),
        ] = None,
        samples: Annotated[int, Field(ge=1, description="how many points there are")] = 50_000,
        seed: Annotated[int, Field(ge=0, description="which points they are")] = 0,
    ) -> None:
        usual = {"ring": (8, 2.0, 0.02), "grid": (25, 4.0, 0.05)}[layout]
        self.modes = usual[0] if modes is None else modes
        self.radius = usual[1] if radius is None else radius
        self.deviation = usual[2] if deviation is None else deviation
        if layout == "grid" and math.isqrt(self.modes) ** 2 != self.modes:
            raise ValueError(
                f"a grid has as many rows as columns, and {self.modes} is no square; set modes to "
                f"{math.isqrt(self.modes) ** 2} or {(math.isqrt(self.modes) + 1) ** 2}"
            )
        self.layout, self.samples, self.seed = layout, samples, seed

    @property
    def scale(self) -> float:
        """The length that becomes 1."""
        return 1.5 * self.radius + 5 * self.deviation

    @property
    def spread(self) -> float:
        """The deviation of a mode in the units of the samples."""
        return self.deviation / self.scale

    @property
    def centres(self) -> Tensor:
        """(M, 2): the modes' means, in the units of the samples."""
        if self.layout == "ring":
            angles = 2 * math.pi * torch.arange(self.modes, device="cpu") / self.modes
            places = torch.stack([angles.cos(), angles.sin()], dim=1)
        else:
            side = math.isqrt(self.modes)
            line = torch.linspace(-1, 1, side, device="cpu") if side > 1 else torch.zeros(1, device="cpu")
            places = torch.cartesian_prod(line, line)
        return places * (self.radius / self.scale)

    @property
    def fields(self) -> Mapping[str, DataField]:
        return {
            "images": DataField((2, 1, 1), "float32", (-1, 1)),
            "labels": DataField((), "int64", (0, self.modes - 1)),
        }

    @property
    def classes(self) -> Sequence[str]:
        return [str(mode) for mode in range(self.modes)]

    @cached_property
    def whole(self) -> dict[str, Tensor]:
        rng = torch.Generator("cpu").manual_seed(self.seed)
        labels = torch.arange(self.samples, device="cpu") % self.modes
        noise = torch.randn(self.samples, 2, generator=rng, device="cpu")
        points = (self.centres[labels] + self.spread * noise).clamp(-1, 1)
        return {"images": points.view(-1, 2, 1, 1), "labels": labels}

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.whole["images"].numpy()).hexdigest()

    @property
    def view(self) -> str:
        return f"{self.layout} of {self.modes}"

    def __len__(self) -> int:
        return self.samples

    def tensors(self) -> dict[str, Tensor]:
        return self.whole

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.whole.items()}
