"""``augmentation: diffaugment``."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Augmentation


class DiffAugment(Augmentation):
    """Random colour, translation and cutout of whatever the discriminator sees, drawn for each image.

    - colour: brightness x + b, b in [-½, ½]; saturation, the distance from the grey of a pixel times [0, 2]; contrast,
      the distance from the image's mean times [½, 1½];
    - translation by up to ``translation`` of each side, in whole pixels, the border filled with zeros (mid-grey);
    - cutout of a box with ``cutout`` of each side, set to zero, centred anywhere in the image.

    All of it is differentiable (twice, for penalties), so the generator learns through it. ``probability`` is that of
    each of the three to be applied to a batch: 1 in the paper, 0.6 in InfoSCC-GAN. Images (N, C, H, W); values may
    leave [-1, 1].

    Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020, section 3.
    """

    differentiable = True

    def __init__(
        self,
        *,
        color: Annotated[bool, Field(description="change brightness, saturation and contrast")] = True,
        translation: Annotated[float, Field(ge=0, lt=1, description="largest shift, as a share of each side")] = 0.125,
        cutout: Annotated[float, Field(ge=0, le=1, description="box that is cut out, as a share of each side")] = 0.5,
        probability: Annotated[float, Field(gt=0, le=1, description="of each of the three, for a whole batch")] = 1.0,
    ) -> None:
        super().__init__()
        self.color, self.translation, self.cutout, self.probability = color, translation, cutout, probability

    def forward(self, images: Tensor, side: str, rng: torch.Generator) -> Tensor:
        if self.color:
            images = self._color(images, rng)
        if self.translation:
            images = self._translate(images, rng)
        if self.cutout:
            images = self._cut(images, rng)
        return images

    def _applied(self, rng: torch.Generator) -> Tensor:
        """1 or 0 for the whole batch; a tensor, so that nothing waits for the device."""
        return (torch.rand((), generator=rng, device=rng.device) < self.probability).float()

    def _color(self, images: Tensor, rng: torch.Generator) -> Tensor:
        applied = self._applied(rng)
        draws = (torch.rand(3, len(images), 1, 1, 1, generator=rng, device=rng.device) - 0.5) * applied
        brightness, saturation, contrast = draws.to(images.dtype)
        images = images + brightness
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * (1 + 2 * saturation)
        mean = images.mean((1, 2, 3), keepdim=True)
        return mean + (images - mean) * (1 + contrast)

    def _translate(self, images: Tensor, rng: torch.Generator) -> Tensor:
        applied = self._applied(rng).long()
        rows, inside_rows = self._shifted(len(images), images.shape[-2], applied, rng)
        columns, inside_columns = self._shifted(len(images), images.shape[-1], applied, rng)
        places = (rows[:, :, None] * images.shape[-1] + columns[:, None, :]).flatten(1)[:, None]
        moved = images.flatten(2).gather(2, places.expand(-1, images.shape[1], -1)).view_as(images)
        return moved * (inside_rows[:, None, :, None] & inside_columns[:, None, None, :])

    def _shifted(self, number: int, side: int, applied: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Where each place of a side takes its value from, (N, side), and whether that lies in the image."""
        limit = int(side * self.translation + 0.5)
        shift = torch.randint(-limit, limit + 1, (number, 1), generator=rng, device=rng.device) * applied
        source = torch.arange(side, device=rng.device) + shift
        return source.clamp(0, side - 1), (source >= 0) & (source < side)

    def _cut(self, images: Tensor, rng: torch.Generator) -> Tensor:
        applied = self._applied(rng).bool()
        rows = self._covered(len(images), images.shape[-2], rng)
        columns = self._covered(len(images), images.shape[-1], rng)
        return images * ~(rows[:, None, :, None] & columns[:, None, None, :] & applied)

    def _covered(self, number: int, side: int, rng: torch.Generator) -> Tensor:
        """Which places of a side the box covers, (N, side); the part of the box outside the image is lost."""
        size = int(side * self.cutout + 0.5)
        centre = torch.randint(0, side + 1 - size % 2, (number, 1), generator=rng, device=rng.device)
        place = torch.arange(side, device=rng.device)
        return (place >= centre - size // 2) & (place < centre - size // 2 + size)
