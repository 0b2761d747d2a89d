"""``gan``: one generator against one discriminator."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import (
    Algorithm,
    Augmentation,
    Condition,
    Data,
    Discriminator,
    Duel,
    Generated,
    Generator,
    Loss,
    Match,
    Preview,
    Regularizer,
    Scheduled,
    Step,
    Update,
    Use,
)


class Gan(Algorithm):
    """One generator against one discriminator, with or without a condition.

    An iteration, for a batch x with conditions y and fresh latents z in every step:

    1. the steps of their own that regularizers place first;
    2. ``discriminator_steps`` times: the discriminator judges x under y and G(z, y') under y', and descends its side of
       the loss with the regularizers that join it; its constraints hold after each step;
    3. the generator descends its side of the loss on fresh samples, ``generator_fakes`` for each real one, with the
       regularizers that join it. It sees the iteration's first batch of reals, or with ``batches: separate`` one of its
       own.

    ``fakes`` says where y' comes from: ``sampled`` from the condition's prior, the real ``batch``'s own, or
    ``balanced``, every class equally often in each batch. A condition that real samples do not have (InfoGAN's codes)
    is the generator's alone: the discriminator is not conditioned then.

    Raises:
        ValueError: the generator's samples are not shaped like the data's, it ignores the condition of the stage, or
            the condition is none that fakes can be made from as asked.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, Algorithm 1.
    """

    gives = {"generator": Generator, "discriminator": Discriminator}
    averaged = ("generator",)
    example = {"stages.gan": ..., "stages.gan.steps": 500, "stages.gan.evaluate.metrics": []}

    def __init__(
        self,
        data: Data,
        *,
        generator: Annotated[Use[Generator], Field(description="latents to samples")],
        discriminator: Annotated[Use[Discriminator], Field(description="samples to scores")],
        loss: Annotated[Use[Loss], Field(description="the adversarial loss")] = "non-saturating",
        condition: Annotated[Use[Condition], Field(description="what samples are conditioned on")] = "none",
        augmentation: Annotated[Use[Augmentation], Field(description="of all that the discriminator sees")] = "none",
        regularizers: Annotated[list[Use[Regularizer]], Field(description="further terms and constraints")] = (),
        discriminator_steps: Annotated[
            Scheduled, Field(ge=1, multiple_of=1, description="steps of the discriminator per step of the generator")
        ] = 1,
        fakes: Annotated[
            Literal["sampled", "batch", "balanced"], Field(description="where the conditions of the fakes come from")
        ] = "sampled",
        generator_fakes: Annotated[
            int, Field(ge=1, description="fakes per real sample in the generator's update (SNGAN has 2)")
        ] = 1,
        batches: Annotated[
            Literal["shared", "separate"],
            Field(description="the generator's update: the iteration's batch, or its own"),
        ] = "shared",
    ) -> None:
        super().__init__(data)
        self.condition = condition(data)
        network = generator(data.shape, self.condition.shape)
        name = type(network).__name__
        if tuple(network.sample_shape) != tuple(data.shape):
            raise ValueError(f"{name} makes samples of {tuple(network.sample_shape)}, the data are {tuple(data.shape)}")
        if self.condition.shape is not None and not network.conditional:
            raise ValueError(f"{name} ignores its condition; use a conditional generator, or condition: none")
        if fakes == "balanced" and [segment.kind for segment in self.condition.segments] != ["one-hot"]:
            raise ValueError("balanced fakes need a condition that is one class; use fakes: sampled")
        if fakes == "batch" and not self.condition.observed:
            raise ValueError("no condition of a real sample is known, to make its fake from; use fakes: sampled")
        self.duel = Duel(
            discriminator(data.shape, self.condition.shape if self.condition.observed else None),
            loss(),
            augmentation(),
            regularizers,
            network,
            paired=fakes == "batch" and self.condition.shape is not None,
            segments=self.condition.segments,
        )
        self.discriminator_steps = discriminator_steps
        self.fakes = fakes
        self.generator_fakes = generator_fakes
        self.batches = "fresh" if batches == "separate" else "shared"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"images"}) | self.condition.needs

    def networks(self) -> dict[str, nn.Module]:
        return self.duel.networks()

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return self.duel.updates(self.match, steps=self.discriminator_steps, batch=self.batches)

    def match(self, side: Literal["generator", "discriminator"], step: Step) -> Match:
        """One round of the duel: the step's reals against as many fresh fakes, or a multiple of them."""
        generator, real = self.duel.generator, step.batch["images"]
        condition_real = self.condition.of(step.batch)
        if side == "generator" and self.generator_fakes > 1:
            # As many reals, so that the i-th fake has an i-th real to be compared with.
            real = real.repeat(self.generator_fakes, 1, 1, 1)
            if condition_real is not None:
                condition_real = condition_real.repeat(self.generator_fakes, *(1 for _ in condition_real.shape[1:]))
        latents = generator.latents.sample(len(real), step.rng)
        condition_fake = self._fake_conditions(condition_real, len(real), step.rng)
        return Match(
            side,
            step,
            self.duel,
            real=real,
            fake=lambda: generator(latents, condition_fake),
            latents=latents,
            condition_real=condition_real,
            condition_fake=condition_fake,
        )

    def _fake_conditions(self, real: Tensor | None, number: int, rng: torch.Generator) -> Tensor | None:
        if self.fakes == "batch":
            return real
        if self.fakes == "sampled":
            return self.condition.sample(number, rng)
        classes = self.condition.shape[0]
        # A random start: what is left over of a batch falls on every class in turn.
        start = torch.randint(classes, (), generator=rng, device=rng.device)
        chosen = (torch.arange(number, device=rng.device) + start) % classes
        return torch.eye(classes, device=rng.device)[chosen]

    @torch.no_grad()
    def sample(self, number: int, condition: Tensor | None = None, rng: torch.Generator | None = None) -> Tensor:
        """Draws (number, C, H, W) in [-1, 1].

        Args:
            number: of samples.
            condition: rows (number, K), or one row for all; None draws them from the condition's prior.
            rng: on the networks' device; None draws the same samples every time.
        """
        device = next(self.duel.generator.parameters()).device
        rng = rng if rng is not None else torch.Generator(device)
        if condition is not None and condition.dim() == len(self.condition.shape or ()):
            condition = condition.expand(number, *condition.shape)
        return self.generate(*self.draw(number, condition, rng))

    def generate(self, latents: Tensor, condition: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Latents (N, D) under conditions, rows (N, K) or None -> their images (N, C, H, W) in [-1, 1].

        Args:
            truncation: the strength of ``Generator.truncated``; 1 truncates nothing.
        """
        parts = zip(
            latents.split(_AT_ONCE),
            condition.to(latents.device).split(_AT_ONCE) if condition is not None else [None] * len(latents),
            strict=False,
        )
        made = [self.duel.generator.truncated(*part, truncation) for part in parts]
        return torch.cat([part.samples if isinstance(part, Generated) else part for part in made])

    @torch.no_grad()
    def previews(self, batch: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        """``samples``: a column per condition, rows share their latents. ``traversal/...``: a row per latent axis."""
        generator = self.duel.generator
        latents = generator.latents
        columns = self._columns(rng)
        if columns is None:
            pictures = {"samples": Preview(self.generate(latents.sample(_ROWS * _ROWS, rng), None), _ROWS)}
        else:
            rows = latents.sample(_ROWS, rng).repeat_interleave(len(columns), 0)
            images = self.generate(rows, columns.repeat(_ROWS, *(1 for _ in columns.shape[1:])))
            pictures = {"samples": Preview(images, len(columns))}
        middle = latents.truncate(latents.sample(1, rng), _TRUNCATION)
        for group, size in latents.groups.items():
            if len(latents.groups) > 1 and size <= _MOST_AXES:
                moved = torch.cat([latents.traverse(middle, group, axis, _TRAVERSED) for axis in range(size)])
                given = columns[:1].expand(len(moved), *columns.shape[1:]) if columns is not None else None
                pictures[f"traversal/{group}"] = Preview(self.generate(moved, given), len(_TRAVERSED))
        return pictures

    def _columns(self, rng: torch.Generator) -> Tensor | None:
        """The conditions that previews show: the first classes, or drawn ones where a condition is not one class."""
        if [segment.kind for segment in self.condition.segments] == ["one-hot"]:
            return torch.eye(self.condition.shape[0], device=rng.device)[:_MOST_CLASSES]
        return self.condition.sample(_ROWS, rng)


_AT_ONCE = 256
_ROWS = 8
_MOST_CLASSES = 10
_MOST_AXES = 16
_TRUNCATION = 0.7
_TRAVERSED = [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
