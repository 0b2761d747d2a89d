"""CelebA: faces with forty attributes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ganvas import Dataset, MissingData
from ganvas_plugins.datasets.image_files import ImageFiles

ATTRIBUTES = tuple(
    """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
    Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
    Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young""".split()  # noqa: SIM905
)
SPLITS = ("train", "valid", "test")


class CelebA(ImageFiles):
    """Aligned faces of celebrities: 202,599 images of 218x178 with forty binary attributes.

    Read from ``img_align_celeba``, ``list_attr_celeba.txt`` and ``list_eval_partition.txt`` in ``root`` (or in
    ``root/celeba``). ``images`` uint8 (3, 218, 178), of which ``size: 64`` takes the centred 178x178 square;
    ``attributes`` uint8 (A,), 1 where the face has the attribute.
    Source: Liu, Luo, Wang & Tang, "Deep Learning Face Attributes in the Wild", 2015.
    """

    # It has attributes where the quickstart's data have labels.
    example: ClassVar[Mapping[str, Any]] = {
        "dataset": {"use": "celeba", "root": "~/data/celeba", "size": 64},
        "stages.attributes.condition": "attributes",
        "stages.gan.condition": "attributes",
    }
    channels = 3
    stored_size = (218, 178)

    def __init__(
        self,
        *,
        root: Annotated[Path, Field(description="folder that holds img_align_celeba and the two lists")],
        split: Annotated[Literal["train", "valid", "test", "all"], Field(description="the data's own split")] = "train",
        attributes: Annotated[
            list[str] | None, Field(description="the attributes to use, in this order; left out: all forty")
        ] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name in attributes or ():
            if name not in ATTRIBUTES:
                close = difflib.get_close_matches(name, ATTRIBUTES, 1)
                remedy = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(ATTRIBUTES)}"
                raise ValueError(f"CelebA has no attribute {name!r}; {remedy}")
        if attributes is not None and (not attributes or len(set(attributes)) < len(attributes)):
            raise ValueError("attributes must name one or more of CelebA's forty, each once; leave it out for all")
        self.root, self.split, self._chosen = root, split, tuple(attributes or ATTRIBUTES)

    @property
    def attributes(self) -> Sequence[str]:
        return self._chosen

    def test_split(self) -> Dataset | None:
        return self.changed(split="test") if self.split == "train" else None

    @cached_property
    def folder(self) -> Path:
        for folder in (self.root, self.root / "celeba"):
            if (folder / "img_align_celeba").is_dir() and all((folder / name).is_file() for name in self.descriptions):
                return folder
        raise MissingData(
            f"CelebA is not in {self.root}; fetch img_align_celeba.zip, list_attr_celeba.txt and "
            "list_eval_partition.txt from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, put them "
            "there and unpack the zip"
        )

    @property
    def descriptions(self) -> Sequence[str]:
        return "list_attr_celeba.txt", "list_eval_partition.txt"

    @cached_property
    def _rows(self) -> tuple[list[str], np.ndarray]:
        """Names of the split's files and their attributes (N, A), 0 or 1."""
        table, partition = (self.folder / name for name in self.descriptions)
        try:
            with table.open(encoding="ascii") as file:
                file.readline()  # the number of images
                columns = file.readline().split()
                names = [line.split(maxsplit=1)[0] for line in file if line.strip()]
            use = [1 + columns.index(name) for name in self._chosen]
            values = np.loadtxt(table, np.int8, skiprows=2, usecols=use, ndmin=2)
            with partition.open(encoding="ascii") as file:
                part = dict(line.split() for line in file if line.strip())
            wanted = set("012") if self.split == "all" else {str(SPLITS.index(self.split))}
            chosen = [row for row, name in enumerate(names) if part[name] in wanted]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise MissingData(
                f"{table} or {partition.name} beside it is damaged ({error}); fetch them again"
            ) from error
        if not chosen:
            raise MissingData(f"{partition} lists no image of the split {self.split!r}; fetch it again")
        return [f"img_align_celeba/{names[row]}" for row in chosen], (values[chosen] > 0).astype(np.uint8)

    @property
    def files(self) -> Sequence[str]:
        return self._rows[0]

    def stored_targets(self) -> dict[str, Tensor]:
        return {"attributes": torch.from_numpy(self._rows[1])}
