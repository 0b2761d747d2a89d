"""Animal Faces HQ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Dataset, MissingData
from ganvas_plugins.datasets.image_files import ImageFiles, image_names


class Afhq(ImageFiles):
    """Faces of cats, dogs and wild animals: about 15,000 images of 512x512, three classes.

    Read from ``root/train`` and ``root/test`` (``val`` in the first version), each with the folders ``cat``, ``dog``
    and ``wild`` of png or jpg files. ``images`` uint8 (3, 512, 512), ``labels`` 0 to 2.
    Source: Choi, Uh, Yoo & Ha, "StarGAN v2: Diverse Image Synthesis for Multiple Domains", 2020.
    """

    classes = ("cat", "dog", "wild")
    channels = 3
    stored_size = (512, 512)

    def __init__(
        self,
        *,
        root: Annotated[Path, Field(description="folder that holds train and test (or val)")],
        split: Annotated[Literal["train", "test"], Field(description="the data's own split")] = "train",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self.split = root, split

    def test_split(self) -> Dataset | None:
        return self.changed(split="test") if self.split == "train" else None

    @cached_property
    def folder(self) -> Path:
        for name in ("train",) if self.split == "train" else ("test", "val"):
            for folder in (self.root / name, self.root / "afhq" / name):
                if all((folder / kind).is_dir() for kind in self.classes):
                    return folder
        raise MissingData(
            f"AFHQ's {self.split} split is not in {self.root}; fetch afhq.zip or afhq_v2.zip as "
            "https://github.com/clovaai/stargan-v2 says and "
            f"unpack it so that {self.root / self.split / 'cat'} is there"
        )

    @cached_property
    def files(self) -> Sequence[str]:
        files = [f"{kind}/{name}" for kind in self.classes for name in image_names(self.folder / kind)]
        if not files:
            raise MissingData(f"no images are in {self.folder}; fetch AFHQ again, it is incomplete")
        return files

    @cached_property
    def _labels(self) -> dict[str, Tensor]:
        return {"labels": torch.tensor([self.classes.index(name.split("/")[0]) for name in self.files], device="cpu")}

    def stored_targets(self) -> dict[str, Tensor]:
        return self._labels
