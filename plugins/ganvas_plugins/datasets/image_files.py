"""What datasets made of image files share: reading them, and what is remembered about them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import Field
from torch import Tensor

from ganvas import Incidental, MissingData, cache_folder, write_cached
from ganvas_plugins.datasets.images import ImageDataset

__all__ = ["EXTENSIONS", "ImageFiles", "image_names"]

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MEMORY = 2 * 2**30
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 lie on their side

log = logging.getLogger("ganvas")


def image_names(folder: Path) -> list[str]:
    """The image files below a folder, at any depth, by their sorted relative names; hidden ones are left out."""
    names, seen = [], set()
    for directory, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        if real in seen:  # a link back to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(directory).relative_to(folder)
        names += [
            (relative / name).as_posix()
            for name in files
            if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        ]
    return sorted(names)


def as_mode(image: Image.Image, channels: int) -> Image.Image:
    """8 bits per channel, grey or RGB; 16-bit greys keep their upper byte, transparency is laid over white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


class ImageFiles(ImageDataset):
    """Images in files of their own; a subclass says which (``folder``, ``files``) and what is known of them."""

    def __init__(
        self,
        *,
        in_memory: Annotated[
            bool | None,
            Incidental,
            Field(description="decode all once and keep them in memory; left out: where they take up to 2 GiB"),
        ] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.in_memory = in_memory

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder that the names of ``files`` are relative to; raises ``MissingData`` where it is not there."""

    @property
    @abstractmethod
    def files(self) -> Sequence[str]:
        """Names of the image files, relative to ``folder``, in order."""

    @property
    def descriptions(self) -> Sequence[str]:
        """Names of other files that belong to the content (lists of attributes)."""
        return ()

    @property
    def stored(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image.Image:
        def decode(image: Image.Image) -> Image.Image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return as_mode(image, self.channels)

        image = self.opened(self.files[index], decode)
        if self.size is None and (image.height, image.width) != tuple(self.stored_size):
            height, width = self.stored_size
            raise MissingData(
                f"{self.folder / self.files[index]} is {image.height}x{image.width} where {height}x{width} (height x "
                "width) is expected; give the dataset a size"
            )
        return image

    def opened(self, name: str, read: Callable[[Image.Image], Any]) -> Any:
        """What ``read`` makes of an image file; the file is named where it cannot be read."""
        path = self.folder / name
        try:
            with Image.open(path) as image:
                return read(image)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MissingData(
                f"{path} cannot be read as an image ({reason}); replace the file, or remove it"
            ) from error

    @cached_property
    def whole(self) -> dict[str, Tensor]:
        images = torch.empty(len(self), *self.fields["images"].shape, dtype=torch.uint8, device="cpu")
        log.info("decoding %d images from %s", len(self), self.folder)

        def fill(place: int, stored: int) -> None:
            images[place] = self.pixels(stored)

        with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
            for _ in pool.map(fill, range(len(self)), self.indices.tolist()):
                pass
        return {"images": images, **self.targets()}

    def tensors(self) -> dict[str, Tensor] | None:
        channels, height, width = self.fields["images"].shape
        small = len(self) * channels * height * width <= MEMORY
        return self.whole if (small if self.in_memory is None else self.in_memory) else None

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the files' relative names and bytes."""
        return self.remembered("fingerprint", self.digest)

    def digest(self) -> str:
        def of_file(name: str) -> bytes:
            return hashlib.sha256((self.folder / name).read_bytes()).digest()

        names = [*self.files, *self.descriptions]
        digest = hashlib.sha256()
        with ThreadPoolExecutor() as pool:
            for name, content in zip(names, pool.map(of_file, names)):
                digest.update(hashlib.sha256(name.encode()).digest() + content)
        return digest.hexdigest()

    @cached_property
    def headers(self) -> dict[str, Any]:
        """What the files' headers say: whether any is in colour, and a file for each size (H, W) that occurs."""
        return self.remembered("headers", self.read_headers)

    def read_headers(self) -> dict[str, Any]:
        def header(image: Image.Image) -> tuple[int, int, bool]:
            width, height = image.size
            if image.getexif().get(_ORIENTATION, 1) >= 5:
                width, height = height, width
            return height, width, image.mode not in ("1", "L", "LA") and not image.mode.startswith("I")

        sizes: dict[str, str] = {}
        colour = False
        for name in self.files:
            height, width, coloured = self.opened(name, header)
            sizes.setdefault(f"{height}x{width}", name)
            colour |= coloured
        return {"colour": colour, "sizes": sizes}

    def remembered(self, what: str, compute: Callable[[], Any]) -> Any:
        """``compute()``, kept in the cache folder for as long as no file is added, removed or changed."""
        try:
            status = [(name, (self.folder / name).stat()) for name in [*self.files, *self.descriptions]]
        except OSError as error:
            raise MissingData(f"{error.filename} is not there; fetch the data set again, it is incomplete") from error
        listing = [(name, s.st_size, s.st_mtime_ns) for name, s in status]
        key = hashlib.sha256(json.dumps([what, str(self.folder.resolve()), listing]).encode()).hexdigest()
        path = cache_folder() / "images" / f"{key[:32]}.json"
        try:
            return json.loads(path.read_bytes())[what]
        except (OSError, ValueError, KeyError, TypeError):  # absent or damaged
            value = compute()
            write_cached(path, json.dumps({what: value}).encode())
            return value
