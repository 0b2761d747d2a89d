"""A structured prior as the condition: codes that the generator is asked to express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Condition, Data, Segment
from ganvas_plugins.conditions.one_hot import named_index, one_hot


class Code(Condition):
    """Codes (N, K) drawn beside the noise: some of several values, as one-hot vectors, then some continuous numbers.

    c = (c_1, ..., c_m), every c_i drawn on its own: c_i uniform over the values of a categorical code, and uniform in
    [-1, 1] or normal where it is continuous. What a code means is learned: no real image has any, so ``of`` gives None,
    the discriminator is not conditioned, and it takes the regularizer ``mutual-information`` to keep the generator from
    ignoring them.

    Raises:
        ValueError: there is no code at all.

    Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
    Adversarial Nets", 2016, sections 4 and 7.
    """

    # The quickstart's classifier and its metrics ask for the condition of a real image.
    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan.condition": ...,
        "stages.gan.regularizers": ["mutual-information"],
        "stages.gan.evaluate.metrics": [],
    }
    observed = False

    def __init__(
        self,
        data: Data,
        *,
        categorical: Annotated[
            list[Annotated[int, Field(ge=2)]], Field(description="number of values of each categorical code")
        ] = (10,),
        continuous: Annotated[int, Field(ge=0, description="number of continuous codes")] = 2,
        prior: Annotated[
            Literal["uniform", "normal"], Field(description="of each continuous code: uniform in [-1, 1], or normal")
        ] = "uniform",
    ) -> None:
        super().__init__()
        self.categorical, self.continuous, self.prior = tuple(categorical), continuous, prior
        if not self.categorical and not continuous:
            raise ValueError("a code of no numbers says nothing; give it categorical or continuous ones, or take none")
        self.segments = [Segment("one-hot", values) for values in self.categorical]
        if continuous:
            self.segments.append(Segment("continuous", continuous))
        self.shape = (sum(segment.size for segment in self.segments),)
        number = len(self.categorical)
        self.names: Sequence[str] = [
            *(f"c{code + 1}={value}" for code, values in enumerate(self.categorical) for value in range(values)),
            *(f"c{number + code + 1}" for code in range(continuous)),
        ]

    def of(self, batch: Mapping[str, Tensor]) -> None:
        """None: real images have no codes."""

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        parts = [
            one_hot(torch.randint(values, (number,), generator=rng, device=rng.device), values)
            for values in self.categorical
        ]
        numbers = torch.empty(number, self.continuous, device=rng.device)
        if self.prior == "uniform":
            numbers.uniform_(-1, 1, generator=rng)
        else:
            numbers.normal_(generator=rng)
        return torch.cat([*parts, numbers], dim=1)

    def parse(self, value: Any) -> Tensor:
        """One number per code, the value of a categorical one first: ``[3, 0.5, -1]``; or all K as networks see them.

        Continuous codes may be left out, and are 0, the middle of their prior, then: ``3``.
        """
        entries = list(value) if isinstance(value, (list, tuple)) else [value]
        chosen, numbers = entries[: len(self.categorical)], entries[len(self.categorical) :]
        whole = len(entries) == self.shape[0]
        if not all(map(_is_number, entries if whole else numbers)) or not (
            whole or (len(chosen) == len(self.categorical) and len(numbers) in (0, self.continuous))
        ):
            raise ValueError(f"give {self._asked}, or all {self.shape[0]} numbers of the code")
        if whole:
            return torch.tensor([float(entry) for entry in entries])
        parts = [
            one_hot(torch.tensor([named_index(entry, [str(name) for name in range(values)], "value")]), values)[0]
            for entry, values in zip(chosen, self.categorical, strict=True)
        ]
        return torch.cat([*parts, torch.tensor([float(entry) for entry in numbers] or [0.0] * self.continuous)])

    @property
    def _asked(self) -> str:
        """What a user may give, in words: ``one of 10 values and 2 numbers``."""
        parts = [f"one of {values} values" for values in self.categorical]
        if self.continuous:
            parts.append(f"{self.continuous} number{'s' * (self.continuous > 1)}")
        return " and ".join(parts)


def _is_number(entry: Any) -> bool:
    return isinstance(entry, (int, float)) and not isinstance(entry, bool)
