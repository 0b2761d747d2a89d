"""A folder of images, one's own for example."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import MissingData
from ganvas_plugins.datasets.image_files import EXTENSIONS, ImageFiles, image_names

log = logging.getLogger("ganvas")


class ImageFolder(ImageFiles):
    """The images below a folder: any sizes and aspect ratios, grey or RGB.

    A flat folder has no labels; with sub-folders, each of them is a class (in the order of their names) and holds its
    images at any depth. Read are png, jpg, jpeg, bmp and webp; a photograph is turned upright as its EXIF data say.
    Without ``size`` all images must have the same one.
    Source: none; the images are the user's own.
    """

    def __init__(
        self,
        *,
        root: Annotated[Path, Field(description="folder with the images, or with a sub-folder of images per class")],
        channels: Annotated[
            Literal[1, 3] | None, Field(description="1 grey, 3 RGB; left out: RGB if any file is in colour")
        ] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self._channels = root, channels

    @property
    def folder(self) -> Path:
        return self.root

    @cached_property
    def files(self) -> Sequence[str]:
        formats = ", ".join(extension[1:] for extension in EXTENSIONS)
        if not self.root.is_dir():
            raise MissingData(f"there is no folder {self.root}; put images ({formats}) there, or mend root")
        names = image_names(self.root)
        if not names:
            raise MissingData(f"no images ({formats}) are below {self.root}; put some there, or mend root")
        loose = [name for name in names if "/" not in name]
        if loose and len(loose) < len(names):
            raise MissingData(
                f"{self.root} holds images ({loose[0]}, ...) beside sub-folders of images ({names[-1]}, ...); "
                "keep either all in sub-folders, one per class, or all in one folder"
            )
        histogram = Counter(name.split("/")[0] for name in names if "/" in name)
        described = ", ".join(f"{name} {number}" for name, number in sorted(histogram.items())) or "no classes"
        log.info("%s: %d images: %s", self.root, len(names), described)
        return names

    @cached_property
    def classes(self) -> Sequence[str]:
        return sorted({name.split("/")[0] for name in self.files if "/" in name})

    @cached_property
    def _labels(self) -> dict[str, Tensor]:
        if not self.classes:
            return {}
        number = {name: index for index, name in enumerate(self.classes)}
        return {"labels": torch.tensor([number[name.split("/")[0]] for name in self.files], device="cpu")}

    def stored_targets(self) -> dict[str, Tensor]:
        return self._labels

    @cached_property
    def channels(self) -> int:
        return self._channels or (3 if self.headers["colour"] else 1)

    @cached_property
    def stored_size(self) -> tuple[int, int]:
        sizes = self.headers["sizes"]
        if len(sizes) > 1:
            (one, first), (other, second) = list(sizes.items())[:2]
            raise ValueError(
                f"the images in {self.root} have {len(sizes)} sizes ({first} is {one}, {second} is {other}); "
                "give the dataset one, such as size: 64 or size: [96, 128] (height, width)"
            )
        height, width = next(iter(sizes)).split("x")
        return int(height), int(width)
