"""Metric ``perceptual-path-length``: how much does a sample change along the way from one latent to another?"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import Algorithm, Data, Extractor, Generator, Measurement, Metric, Stage, Use
from ganvas_plugins.metrics.comparison import fitting, ready

BATCH = 32  # pairs of images at once


class PerceptualPathLength(Metric):
    """Mean squared speed at which the features of a sample change along ways between latents.

        E[ |f(G(way(t + ε))) - f(G(way(t)))|^2 / ε^2 ],    t uniform in [0, 1], or 0 (``sampling: end``),

    over ``samples`` pairs of latents under one condition each, drawn from its prior. In ``space: z`` the way is the one
    of ``ganvas interpolate``: on a sphere where the prior is normal, straight where it is uniform. In ``space: w`` it
    is straight from the styles of one latent to those of the other. The largest and the smallest ``trim`` of the
    lengths are left out of the mean. Lower is smoother; a generator whose samples are all one image scores 0, so it is
    read together with ``fid``.

    f is the extractor's, without its rounding to 8 bits, which would swallow most steps and turn the others into jumps;
    the papers' f is LPIPS over VGG-16, so their numbers compare with none of these. All is computed in float32, TF32
    and autocast off. Against float64, what float32 leaves of a step changes the number by a few tenths of a percent at
    most with ``epsilon`` 1e-4 and by a third with 1e-6; it adds about 1e-7, which is what a generator scores that does
    not move.

    Gives ``perceptual-path-length@EXTRACTOR.z-full`` and so on, by space and sampling.

    Raises:
        ValueError: the generator has no styles for ``space: w``, a sampler draws the samples there, or the extractor
            cannot work with these data.

    Source: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019, section
    4.1, equations 2 and 3; the trimmed mean is that of the code that came with it, ``sampling: end`` that of Karras et
    al., "Analyzing and Improving the Image Quality of StyleGAN", 2020.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"sample", "draw", "generate"})

    def __init__(
        self,
        data: Data,
        *,
        extractor: Annotated[Use[Extractor], Field(description="the feature network")] = "inception",
        samples: Annotated[int, Field(ge=1, description="ways, and steps: one on each")] = 5000,
        space: Annotated[Literal["z", "w"], Field(description="of the ways: latents, or a generator's styles")] = "z",
        sampling: Annotated[
            Literal["full", "end"], Field(description="where the steps are: anywhere on the way, or at its start")
        ] = "full",
        epsilon: Annotated[float, Field(gt=0, le=0.1, description="length of a step, as a share of the way")] = 1e-4,
        trim: Annotated[
            float, Field(ge=0, lt=0.5, description="share of the lengths that is left out, at either side")
        ] = 0.01,
        seed: Annotated[int, Field(ge=0, description="draws the ways and the steps on them")] = 0,
    ) -> None:
        super().__init__(data)
        self.extractor = fitting(extractor, data)
        self.samples, self.space, self.sampling = samples, space, sampling
        self.epsilon, self.trim, self.seed = epsilon, trim, seed

    def check(self, algorithm: Algorithm) -> None:
        super().check(algorithm)
        generator: Any = algorithm.products()["generator"]
        if self.space == "w" and getattr(type(generator), "styles", Generator.styles) is Generator.styles:
            raise ValueError(
                f"{type(generator).__name__} has no styles for ways in w; use space: z, or generator: stylegan2"
            )

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {
            "samples": self.samples,
            "space": self.space,
            "sampling": self.sampling,
            "epsilon": self.epsilon,
            "trim": self.trim,
            "ways' seed": self.seed,
            "distance": "squared, of features of images that are not rounded",
            **self.extractor.protocol,
        }

    @torch.no_grad()
    def measure(self, stage: Stage) -> dict[str, Measurement]:
        self.check(stage.algorithm)
        if self.space == "w" and stage.sampler is not None:
            raise ValueError("no sampler takes part in ways through w; use space: z, or leave the sampler out")
        ready(stage, self.extractor)
        with torch.autocast(stage.device.type, enabled=False), without_tf32():
            lengths = torch.cat(list(self._lengths(stage)))
        if broken := int((~lengths.isfinite()).sum()):
            raise ValueError(
                f"{broken} of {len(lengths)} steps have no finite length: the generator or the extractor "
                f"{self.extractor.name} diverged; use an earlier checkpoint, or another extractor"
            )
        name = f"perceptual-path-length@{self.extractor.name}.{self.space}-{self.sampling}"
        return {name: Measurement(trimmed_mean(lengths, self.trim), better="lower")}

    def _lengths(self, stage: Stage) -> Iterator[Tensor]:
        """Squared distances over ε², in float64, by batches."""
        rng = torch.Generator(stage.device).manual_seed(self.seed)
        source: Any = stage.sampler or stage.algorithm
        if stage.sampler is not None:
            stage.sampler.check(stage.algorithm)
            stage.sampler.start()
        generator: Any = stage.algorithm.products()["generator"]
        for start in range(0, self.samples, BATCH):
            number = min(BATCH, self.samples - start)
            latents, rows = source.draw(2 * number, None, rng)
            begins, ends = latents.split(number)
            rows = None if rows is None else rows[:number]
            places = torch.rand(number, 1, generator=rng, device=stage.device)
            places = places if self.sampling == "full" else torch.zeros_like(places)
            # In float64, where t + ε is what it says, and so is each step.
            shares = torch.cat([places, places + self.epsilon], dim=1).double()
            twice = None if rows is None else rows.repeat_interleave(2, 0)
            if self.space == "z":
                steps = generator.latents.interpolate(begins.double(), ends.double(), shares)
                images = source.generate(steps.flatten(0, 1).to(latents.dtype), twice)
            else:
                first, last = (generator.styles(part, rows).double().unsqueeze(1) for part in (begins, ends))
                steps = torch.lerp(first, last, shares[..., None, None])
                images = generator.synthesize(steps.flatten(0, 1).to(latents.dtype))
            features = self.extractor.unrounded(images).double().unflatten(0, (number, 2))
            yield (features[:, 1] - features[:, 0]).square().sum(1) / self.epsilon**2


@contextmanager
def without_tf32() -> Iterator[None]:
    """Products and convolutions in float32. TF32 keeps 10 bits of each number, and a step is less than they tell."""
    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]
    kept = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, kept, strict=True):
            place.fp32_precision = precision


def trimmed_mean(values: Tensor, trim: float) -> float:
    """The mean of (N,) without what lies below the quantile ``trim`` or above that of 1 - ``trim``.

    The quantiles are values themselves, the next one outwards where they fall between two, and stay in the mean.
    """
    low = values.quantile(trim, interpolation="lower")
    high = values.quantile(1 - trim, interpolation="higher")
    return float(values[(values >= low) & (values <= high)].mean())
