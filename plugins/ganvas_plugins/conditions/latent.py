"""An earlier encoder's features as the condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ganvas import Data, Encoder, Segment, Trained
from ganvas_plugins.conditions.encoded import EncodedCondition
from ganvas_plugins.frozen import FrozenMaps


class Latent(EncodedCondition):
    """The features of an image (N, F) as its condition: the generator sees z and f(x), no label is ever used.

    f(x) = h(x), (h(x) - m) / s or h(x) / |h(x)|_2, where h is the encoder of an earlier stage, and m and s are the mean
    and the standard deviation of each feature over the data (a feature that never changes becomes 0). With ``layer``
    h(x) is that map of the encoder's network, averaged to ``pool`` times ``pool`` places and flattened. The paper feeds
    an intermediate map as it is (``normalise: none``). Samples are conditioned on the features of real images, drawn
    uniformly from a bank of ``samples`` of them that is saved with the stage, so a finished stage needs no data to
    sample.

    With ``fakes: batch`` each fake is made from the features of one real of its batch, as in the paper, whose algorithm
    is ``latent-conditional``.

    Raises:
        ValueError: the encoder has no such layer.

    Source: Durall et al., "Latent Space Conditioning on Generative Adversarial Networks", 2021, section 3.
    """

    # The quickstart's classifier and its metrics ask for classes.
    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan.condition": ...,
        "stages.gan.regularizers": [],
        "stages.gan.evaluate.metrics": [],
    }

    def __init__(
        self,
        data: Data,
        *,
        encoder: Annotated[Trained[Encoder], Field(description="stage whose encoder's features are the condition")],
        normalise: Annotated[
            Literal["standard", "unit", "none"],
            Field(description="mean 0 and deviation 1 of each feature, unit length of each vector, or as they are"),
        ] = "standard",
        layer: Annotated[
            str | None, Field(description="the feature map to take; left out: what the encoder gives")
        ] = None,
        pool: Annotated[int, Field(ge=1, description="places per side that the map of the layer is averaged to")] = 1,
        samples: Annotated[
            int, Field(ge=1, description="real images, drawn at random, whose features are kept to sample from")
        ] = 4096,
    ) -> None:
        super().__init__(data, encoder)
        self.normalise, self.pool = normalise, pool
        self.maps = None if layer is None else FrozenMaps(encoder, data.shape, [layer])
        size = encoder.features if self.maps is None else self.maps.shapes[layer][0] * pool**2
        self.shape = (size,)
        self.segments = [Segment("continuous", size)]
        self.register_buffer("bank", torch.zeros(samples, size))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def prepare(self, data: Data, rng: torch.Generator) -> None:
        """Fits mean and deviation to all samples, and fills the bank."""
        features = self.drawn(data, rng, None)
        # In float64: the sum over many samples of what hardly varies loses its digits in float32.
        mean, deviation = features.double().mean(0), features.double().std(0, correction=0)
        # A dead feature varies by rounding at most: divided by that it would be noise.
        constant = deviation <= 1e-6 * features.abs().amax(0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.masked_fill(constant, 1.0))
        chosen = torch.randperm(len(features), generator=rng, device=rng.device)[: len(self.bank)].sort().values
        kept = features[chosen.cpu()].to(self.bank)
        self.bank[: len(kept)] = self.normalised(kept)
        self.filled.fill_(len(kept))

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F), as the network gives them."""
        if self.maps is None:
            return super().features(images)
        with torch.autocast(images.device.type, enabled=False):
            (values,) = self.maps(images.float()).values()
            return F.adaptive_avg_pool2d(values, self.pool).flatten(1).float()

    def normalised(self, features: Tensor) -> Tensor:
        """(N, F) as the encoder gives them -> (N, F) as the networks see them."""
        if self.normalise == "standard":
            return (features - self.mean) / self.deviation
        return F.normalize(features, dim=1) if self.normalise == "unit" else features

    def derived(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F)."""
        return self.normalised(self.features(images))

    def of(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The features of a batch (N, F); while training, each sample is encoded only once."""
        return self.known(batch)

    def sample(self, number: int, rng: torch.Generator) -> Tensor:
        # Scaled rather than drawn as integers: the number of rows stays on the device.
        position = torch.rand(number, generator=rng, device=rng.device, dtype=torch.float64) * self.filled
        return self.bank[position.long().clamp(max=len(self.bank) - 1)]

    def parse(self, value: Any) -> Tensor:
        """All F numbers of a feature vector, as the networks see it; or one whole number, a row of the bank."""
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value < int(self.filled):
                raise ValueError(f"there are no features {value}; those that are kept go from 0 to {self.filled - 1}")
            return self.bank[value]
        numbers = list(value) if isinstance(value, (list, tuple)) else []
        if len(numbers) != self.shape[0] or any(
            isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers
        ):
            raise ValueError(
                f"give the {self.shape[0]} numbers of a feature vector, or the number of one of the {self.filled} "
                "that are kept"
            )
        return torch.tensor(numbers, dtype=torch.float32)
