"""The data's own labels or attributes as the condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Condition, Data, Segment
from ganvas_plugins.conditions.one_hot import named_index, one_hot, unknown

ROWS = 10_000


class Labels(Condition):
    """Labels as one-hot, or attributes as multi-hot vectors (N, K) of zeros and ones.

    Classes are sampled uniformly. Attributes depend on one another (few women are bald), so they are sampled as whole
    rows of the data: of all, or of 10,000 drawn once, which are saved with the stage.
    Source: Mirza & Osindero, "Conditional Generative Adversarial Nets", 2014, section 4.1.
    """

    def __init__(
        self,
        data: Data,
        *,
        field: Annotated[
            Literal["labels", "attributes"] | None,
            Field(description="the field to take; left out: labels where the data have them, else attributes"),
        ] = None,
    ) -> None:
        super().__init__()
        offered = [name for name in ("labels", "attributes") if name in data.fields]
        if not offered:
            raise ValueError("the data have neither labels nor attributes; use the condition clusters, or none")
        if field is not None and field not in offered:
            raise ValueError(f"the data have no {field}, only {offered[0]}; take field: {offered[0]} or leave it out")
        self.field = field or offered[0]
        self.names: Sequence[str] = list(data.classes if self.field == "labels" else data.attributes)
        self.shape = (len(self.names),)
        self.needs = frozenset({self.field})
        self.segments = [Segment("one-hot" if self.field == "labels" else "binary", len(self.names))]
        if self.field == "attributes":
            self.register_buffer("rows", torch.zeros(ROWS, len(self.names), dtype=torch.uint8))
            self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        """Draws the rows of attributes that ``sample`` draws from."""
        if self.field == "labels":
            return
        dataset = next(iter(data.sources.values()))
        chosen = torch.randperm(len(dataset), generator=rng, device=rng.device)[:ROWS].cpu()
        if hasattr(dataset, "targets"):  # known without reading the images
            rows = dataset.targets()["attributes"][chosen]
        elif (whole := dataset.tensors()) is not None:
            rows = whole["attributes"].cpu()[chosen]
        else:
            rows = torch.stack([dataset[index]["attributes"] for index in chosen.tolist()])
        self.rows[: len(rows)] = rows.to(self.rows)
        self.filled.fill_(len(rows))

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The batch's labels as one-hot, or its attributes, as float (N, K)."""
        values = batch[self.field]
        return one_hot(values, self.shape[0]) if self.field == "labels" else values.float()

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        if self.field == "labels":
            return one_hot(torch.randint(self.shape[0], (number,), generator=rng, device=rng.device), self.shape[0])
        # Scaled rather than drawn as integers: the number of rows stays on the device.
        position = torch.rand(number, generator=rng, device=rng.device, dtype=torch.float64) * self.filled
        return self.rows[position.long().clamp(max=ROWS - 1)].float()

    def parse(self, value: Any) -> Tensor:
        """A class's number or name; or the names of the attributes that are on; or all attributes as 0 and 1."""
        if self.field == "labels":
            return one_hot(torch.tensor([named_index(value, self.names, "class")]), self.shape[0])[0]
        values = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [value]
        if all(isinstance(entry, str) for entry in values):
            for entry in values:
                if entry not in self.names:
                    raise unknown(entry, self.names, "attribute")
            return torch.tensor([float(name in values) for name in self.names])
        if len(values) != self.shape[0] or any(entry not in (0, 1) for entry in values):
            raise ValueError(f"give the names of the attributes that are on, or {self.shape[0]} numbers 0 or 1")
        return torch.tensor([float(entry) for entry in values])
