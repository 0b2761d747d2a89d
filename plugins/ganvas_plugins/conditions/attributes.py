"""The data's own attributes as the condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganvas import Condition, Data, Segment
from ganvas_plugins.conditions.one_hot import require, unknown

ROWS = 10_000


class Attributes(Condition):
    """The attributes of an image as a multi-hot vector (N, K) of zeros and ones, several of which may be on.

    Attributes depend on one another (few women are bald), so they are sampled as whole rows of the data: of all, or of
    10,000 drawn once, which are saved with the stage.

    Raises:
        ValueError: the data have no attributes.

    Source: Mirza & Osindero, "Conditional Generative Adversarial Nets", 2014, section 3.2; attributes sampled from the
    data as in Perarnau et al., "Invertible Conditional GANs for image editing", 2016.
    """

    # The quickstart's data have labels only.
    example: ClassVar[Mapping[str, Any]] = {
        "dataset": {"use": "celeba", "root": "~/data/celeba", "size": 32},
        "stages.attributes.condition": ...,
        "stages.gan.condition": ...,
    }
    needs = frozenset({"attributes"})

    def __init__(self, data: Data) -> None:
        super().__init__()
        require("attributes", data)
        self.names: Sequence[str] = list(data.attributes)
        self.shape = (len(self.names),)
        self.segments = [Segment("binary", len(self.names))]
        self.register_buffer("rows", torch.zeros(ROWS, len(self.names), dtype=torch.uint8))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        """Draws the rows of attributes that ``sample`` draws from."""
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
        """The batch's attributes, as float (N, K)."""
        return batch["attributes"].float()

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        # Scaled rather than drawn as integers: the number of rows stays on the device.
        position = torch.rand(number, generator=rng, device=rng.device, dtype=torch.float64) * self.filled
        return self.rows[position.long().clamp(max=ROWS - 1)].float()

    def parse(self, value: Any) -> Tensor:
        """The names of the attributes that are on; or all attributes as 0 and 1."""
        values = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [value]
        if all(isinstance(entry, str) for entry in values):
            for entry in values:
                if entry not in self.names:
                    raise unknown(entry, self.names, "attribute")
            return torch.tensor([float(name in values) for name in self.names])
        if len(values) != self.shape[0] or any(entry not in (0, 1) for entry in values):
            raise ValueError(f"give the names of the attributes that are on, or {self.shape[0]} numbers 0 or 1")
        return torch.tensor([float(entry) for entry in values])
