"""``condition: template-name``."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from ganvas import Condition, Data, Segment
from pydantic import Field
from torch import Tensor


class Template(Condition):
    """How bright an image is, as one of K equally frequent bins: a condition for data without labels.

        y(x) = #{k : b(x) > e_k}    as one-hot (N, K),    b(x) = the mean of all of an image's numbers

    The edges e_1 <= ... <= e_{K-1} are the K-quantiles of b over the data, fitted once and saved with the stage. Bin 0
    is the darkest. Bins are sampled equally often, which by their making is how often the data have them.

    Raises:
        ValueError: there are fewer images than bins, or a user names a bin there is not.

    Source: quantile binning; conditioning on a class from Mirza and Osindero, "Conditional Generative Adversarial
    Nets", 2014, section 3.2.
    """

    needs = frozenset({"images"})

    def __init__(
        self,
        data: Data,
        *,
        bins: Annotated[int, Field(ge=2, description="K, the number of bins")] = 10,
    ) -> None:
        super().__init__()
        self.shape = (bins,)
        self.names: Sequence[str] = [f"bin {number}" for number in range(bins)]
        self.segments = [Segment("one-hot", bins)]
        self.register_buffer("edges", torch.linspace(-1, 1, bins + 1)[1:-1].clone())

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        """Fits the edges: halfway between the neighbours that a quantile divides."""
        values = torch.cat([brightness(batch["images"]) for batch in data.batches()]).sort().values
        number, bins = len(values), self.shape[0]
        if number < bins:
            raise ValueError(f"{number} images cannot fill {bins} bins; set bins to {number} or less")
        cuts = torch.arange(1, bins, device=values.device) * number // bins
        self.edges.copy_((values[cuts - 1] + values[cuts]) / 2)

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._one_hot((brightness(batch["images"]).unsqueeze(1) > self.edges).sum(1))

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        return self._one_hot(torch.randint(self.shape[0], (number,), generator=rng, device=rng.device))

    def parse(self, value: Any) -> Tensor:
        """A bin's number, or its name ("bin 3")."""
        number = self.names.index(value) if value in self.names else value
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < self.shape[0]:
            raise ValueError(f"there is no bin {value!r}; give its number, 0 to {self.shape[0] - 1}")
        return self._one_hot(torch.tensor([number]))[0]

    def _one_hot(self, numbers: Tensor) -> Tensor:
        return numbers.unsqueeze(1).eq(torch.arange(self.shape[0], device=numbers.device)).float()


def brightness(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N,), the mean of each image."""
    return images.float().flatten(1).mean(1)
