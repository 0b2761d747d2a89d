"""What the bundled image datasets share: sizes, the held-out part, flips, and whole arrays as datasets."""

from __future__ import annotations

import copy
import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import Field
from torch import Tensor

from ganvas import DataField, Dataset

__all__ = ["ArrayDataset", "ImageDataset", "fitted"]


def fitted(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    """Brings an image to ``size`` = (H, W) with Pillow's antialiased bicubic filter.

    ``crop`` keeps the aspect ratio and takes the largest centred part that has the new one; ``pad`` shrinks until the
    whole fits (it never enlarges) and puts a black border around; ``stretch`` changes the aspect ratio.
    """
    height, width = size
    if image.size == (width, height):
        return image
    if fit == "stretch":
        return image.resize((width, height), Image.Resampling.BICUBIC)
    if fit == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    scale = min(height / image.height, width / image.width)
    if scale < 1:
        smaller = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(smaller, Image.Resampling.BICUBIC)
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def to_tensor(image: Image.Image) -> Tensor:
    """A Pillow image -> uint8 (C, H, W)."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


class ImageDataset(Dataset):
    """Images with, where there are any, labels or attributes: what is common to all of them.

    Fields: ``images`` uint8 (C, H, W) in [0, 255]; ``labels`` int64 () where there are classes; ``attributes`` uint8
    (A,), 0 or 1, where there are attributes.

    A subclass says what is stored (``channels``, ``stored_size``, ``stored``, ``image``, ``targets``, ``fingerprint``).
    """

    example: ClassVar[Mapping[str, Any]] = {"dataset": ..., "dataset.size": 32}

    def __init__(
        self,
        *,
        size: Annotated[
            int | tuple[int, int] | None,
            Field(description="side of the square images, or height and width; none leaves them as they are"),
        ] = None,
        fit: Annotated[
            Literal["crop", "pad", "stretch"],
            Field(description="how an image gets that size: centred crop, black border without enlarging, or stretch"),
        ] = "crop",
        holdout: Annotated[
            float, Field(ge=0, lt=1, description="share of the samples held out; which ones never changes")
        ] = 0.0,
        part: Annotated[
            Literal["train", "holdout", "all"], Field(description="the part to use: all but the held-out, it, or both")
        ] = "train",
        flip: Annotated[bool, Field(description="mirrors every other real image at random while training")] = False,
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size) if size is not None else None
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size {size} is not an image size; give one number or [height, width], from 1 on")
        if part == "holdout" and holdout == 0:
            raise ValueError("part: holdout needs something held out; give holdout a share above 0, such as 0.1")
        self.fit, self.holdout, self.part, self.flip = fit, holdout, part, flip

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""

    @property
    @abstractmethod
    def stored_size(self) -> tuple[int, int]:
        """(H, W) of the images as they are; asked for only where ``size`` is none."""

    @property
    @abstractmethod
    def stored(self) -> int:
        """How many samples there are, held-out ones included."""

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """A stored image, by its place among all that are stored; grey or RGB as ``channels`` says."""

    def stored_targets(self) -> dict[str, Tensor]:
        """The fields that are not images, for all that is stored."""
        return {}

    @property
    def fields(self) -> Mapping[str, DataField]:
        fields = {"images": DataField((self.channels, *(self.size or self.stored_size)))}
        if self.classes:
            fields["labels"] = DataField((), "int64", (0, len(self.classes) - 1))
        if self.attributes:
            fields["attributes"] = DataField((len(self.attributes),), "uint8", (0, 1))
        return fields

    @property
    def view(self) -> str:
        size, fit = (self.size or self.stored_size), self.fit if self.size else "as it is"
        part = f"{self.part} of {self.holdout}" if self.holdout else "all"
        return f"{self.channels}x{size[0]}x{size[1]} {fit}, {part}"

    @cached_property
    def indices(self) -> Tensor:
        """(N,): which of the stored samples belong to this part, in order."""
        everything = torch.arange(self.stored, device="cpu")
        if self.holdout == 0 or self.part == "all":
            return everything
        # Ordered by a digest: the same for ever, whatever the training seed and the versions of the libraries.
        order = sorted(range(self.stored), key=lambda index: hashlib.sha256(str(index).encode()).digest())
        held = torch.zeros(self.stored, dtype=torch.bool, device="cpu")
        held[order[: round(self.holdout * self.stored)]] = True
        chosen = everything[held if self.part == "holdout" else ~held]
        if len(chosen) == 0:
            raise ValueError(f"holdout {self.holdout} of {self.stored} samples leaves none for part: {self.part}")
        return chosen

    def held_out(self) -> Dataset | None:
        """The samples that this part leaves out: the other side of ``holdout``, else the data's own test split."""
        if self.holdout == 0:
            return self.test_split()
        if self.part == "all":
            return None
        return self.changed(part="holdout" if self.part == "train" else "train")

    def test_split(self) -> Dataset | None:
        """The data's own test split; None where there is none or this is it."""
        return None

    def changed(self, **options: Any) -> ImageDataset:
        """The same dataset under other options."""
        other = copy.copy(self)
        for name in [n for n in vars(other) if isinstance(getattr(type(other), n, None), cached_property)]:
            delattr(other, name)
        vars(other).update(options)
        return other

    def __len__(self) -> int:
        return len(self.indices)

    def targets(self) -> dict[str, Tensor]:
        """The fields that are not images, (N, ...): known without reading any image."""
        return {name: values[self.indices] for name, values in self.stored_targets().items()}

    def pixels(self, index: int) -> Tensor:
        """A stored image at the size asked for: uint8 (C, H, W)."""
        image = self.image(index)
        return to_tensor(image if self.size is None else fitted(image, self.size, self.fit))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        stored = int(self.indices[index])
        return {"images": self.pixels(stored)} | {name: v[stored] for name, v in self.stored_targets().items()}

    @property
    def augments(self) -> bool:
        return self.flip

    def augment(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """Mirrors each image with probability 1/2, where ``flip`` is on."""
        if not self.flip:
            return batch
        images = batch["images"]
        mirrored = torch.rand(len(images), 1, 1, 1, generator=rng, device=rng.device) < 0.5
        return batch | {"images": torch.where(mirrored, images.flip(-1), images)}


class ArrayDataset(ImageDataset):
    """An image dataset that is read as whole arrays, small enough for any memory."""

    shape: ClassVar[tuple[int, int, int]]
    names: ClassVar[Sequence[str]]

    @abstractmethod
    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 (N, C, H, W) and labels (N,)."""

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        images, labels = self.read()
        return np.array(images, order="C"), labels.astype(np.int64)  # copies: torch wants them writable

    @property
    def classes(self) -> Sequence[str]:
        return self.names

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def stored_size(self) -> tuple[int, int]:
        return self.shape[1:]

    @property
    def stored(self) -> int:
        return len(self.arrays[0])

    def image(self, index: int) -> Image.Image:
        pixels = self.arrays[0][index]
        return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))

    def stored_targets(self) -> dict[str, Tensor]:
        return {"labels": torch.from_numpy(self.arrays[1])}

    @cached_property
    def fingerprint(self) -> str:
        images, labels = self.arrays
        digest = hashlib.sha256(repr(images.shape).encode())
        digest.update(images)
        digest.update(labels.astype("<i8"))
        return digest.hexdigest()

    @cached_property
    def whole(self) -> dict[str, Tensor]:
        if self.size in (None, self.stored_size):
            everything = torch.from_numpy(self.arrays[0])
            images = everything if len(self) == self.stored else everything[self.indices]
        else:
            images = torch.stack([self.pixels(index) for index in self.indices.tolist()])
        return {"images": images, **self.targets()}

    def tensors(self) -> dict[str, Tensor]:
        return self.whole

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index] for name, values in self.whole.items()}
