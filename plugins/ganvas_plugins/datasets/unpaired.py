"""Two datasets as two domains."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from ganvas import DataField, Dataset, Use


class Unpaired(Dataset):
    """Two datasets whose samples do not belong together: domains ``a`` and ``b``, each drawn in an order of its own.

    Taken as a plain dataset it is domain ``a``, repeated until it is as long as the longer one.
    Source: Zhu, Park, Isola & Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", 2017, section 3.
    """

    example: ClassVar[Mapping[str, Any]] = {"stages.gan": {"use": "cyclegan", "dataset": ..., "steps": 500}}

    def __init__(
        self,
        *,
        a: Annotated[Use[Dataset], Field(description="the first domain")],
        b: Annotated[Use[Dataset], Field(description="the second domain")],
    ) -> None:
        self.a, self.b = a(), b()

    @property
    def sources(self) -> Mapping[str, Dataset]:
        return {"a": self.a, "b": self.b}

    @property
    def fields(self) -> Mapping[str, DataField]:
        return self.a.fields

    @property
    def classes(self) -> Sequence[str]:
        return self.a.classes

    @property
    def attributes(self) -> Sequence[str]:
        return self.a.attributes

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.a.fingerprint} {self.b.fingerprint}".encode()).hexdigest()

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.a[index % len(self.a)]

    def held_out(self) -> Dataset | None:
        """The held-out parts of both domains; None where one of them has none."""
        parts = [domain.held_out() for domain in (self.a, self.b)]
        if None in parts:
            return None
        other = copy.copy(self)
        other.a, other.b = parts
        return other
