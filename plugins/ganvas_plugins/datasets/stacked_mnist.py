"""Stacked MNIST: three digits as the channels of one picture, a thousand modes that can be counted."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ganvas import DataField, Dataset, Use

MOST_CLASSES = 100  # of a digit: the names of all stacks are listed


class StackedMnist(Dataset):
    """Pictures whose red, green and blue are a digit each, drawn at random: a data set of 1,000 known modes.

    ``images`` uint8 (3, H, W), ``labels`` 100 a + 10 b + c for the digits a, b and c. Which three images the i-th stack
    is made of depends on ``seed`` and i alone; nothing is read before it is needed. ``digits`` is any dataset of grey
    images with labels (of K classes, which make K^3 modes), ``mnist-5k`` or ``mnist``, and its options are where size,
    held-out part and flips are set. The stacks that are held out are of held-out digits, and as many.

    ``mode-coverage`` with ``extractor: channels`` counts the modes of a generator.

    Attributes:
        channel: the dataset that each channel is an image of.

    Raises:
        ValueError: the images are not grey, have no labels, or more than 100 classes.

    Source: Metz et al., "Unrolled Generative Adversarial Networks", 2017, section 3.3.1; Srivastava et al., "VEEGAN:
    Reducing Mode Collapse in GANs using Implicit Variational Learning", 2017, section 5.2.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "dataset": {"use": "stacked-mnist", "digits": {"use": "mnist-5k", "size": 32}}
    }

    def __init__(
        self,
        *,
        digits: Annotated[Use[Dataset], Field(description="the grey images that are stacked")] = "mnist-5k",
        length: Annotated[int, Field(ge=1, description="how many stacks there are")] = 25_600,
        seed: Annotated[int, Field(ge=0, description="which images they are made of")] = 0,
    ) -> None:
        self.channel = digits()
        shape, classes = self.channel.fields["images"].shape, len(self.channel.classes)
        if shape[0] != 1 or "labels" not in self.channel.fields or not 0 < classes <= MOST_CLASSES:
            labels = f"labels of {classes} classes" if classes else "no labels"
            raise ValueError(
                f"stacked-mnist is made of grey images with labels of {MOST_CLASSES} classes at most, and these have "
                f"{shape[0]} channel{'s' if shape[0] > 1 else ''} and {labels}; use digits: mnist-5k, or mnist"
            )
        self.length, self.seed = length, seed

    @property
    def fields(self) -> Mapping[str, DataField]:
        digit = self.channel.fields["images"]
        return {
            "images": DataField((3, *digit.shape[1:]), digit.dtype, digit.range),
            "labels": DataField((), "int64", (0, len(self.channel.classes) ** 3 - 1)),
        }

    @property
    def classes(self) -> Sequence[str]:
        names = self.channel.classes
        return [f"{a} {b} {c}" for a in names for b in names for c in names]

    @property
    def fingerprint(self) -> str:
        made_of = f"{self.channel.fingerprint} {self.channel.view} {self.length} {self.seed}"
        return hashlib.sha256(made_of.encode()).hexdigest()

    @property
    def view(self) -> str:
        return f"{self.length} stacks of seed {self.seed}, {self.channel.view}"

    @cached_property
    def triples(self) -> Tensor:
        """(N, 3): which digits each stack is made of."""
        rng = torch.Generator("cpu").manual_seed(self.seed)
        return torch.randint(len(self.channel), (self.length, 3), generator=rng, device="cpu")

    @cached_property
    def whole(self) -> dict[str, Tensor] | None:
        digits = self.channel.tensors()
        if digits is None:
            return None
        return {"images": digits["images"][self.triples].flatten(1, 2), "labels": self._stacked(digits["labels"])}

    def tensors(self) -> dict[str, Tensor] | None:
        return self.whole

    def _stacked(self, labels: Tensor) -> Tensor:
        """The digits' labels (M,) -> those of the stacks (N,)."""
        number = len(self.channel.classes)
        return labels[self.triples] @ torch.tensor([number**2, number, 1], device="cpu")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self.whole is not None:
            return {name: values[index] for name, values in self.whole.items()}
        digits = [self.channel[place] for place in self.triples[index].tolist()]
        number = len(self.channel.classes)
        first, second, third = (digit["labels"] for digit in digits)
        label = (first * number + second) * number + third
        return {"images": torch.cat([digit["images"] for digit in digits]), "labels": label}

    def held_out(self) -> Dataset | None:
        held = self.channel.held_out()
        if held is None:
            return None
        other = copy.copy(self)
        for name in ("triples", "whole"):
            vars(other).pop(name, None)
        other.channel = held
        return other

    def missing(self) -> str | None:
        return self.channel.missing()

    @property
    def augments(self) -> bool:
        return self.channel.augments

    def augment(self, batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """What the digits' dataset does to its own images, to all three at once."""
        return self.channel.augment(batch, rng)
