"""``gan``: one generator against one discriminator."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganvas import (
    Augmentation,
    Condition,
    Data,
    Discriminator,
    Duel,
    Generator,
    Loss,
    Match,
    Regularizer,
    Scheduled,
    Step,
    Update,
    Use,
)
from ganvas_plugins.algorithms.one_duel import OneDuel


class Gan(OneDuel):
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
        network = self.player(generator)
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
            observed=self.condition.observed,
        )
        self.discriminator_steps = discriminator_steps
        self.fakes = fakes
        self.generator_fakes = generator_fakes
        self.batches = "fresh" if batches == "separate" else "shared"

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
        latents = step.sample(generator.latents.sample, len(real))
        condition_fake = condition_real if self.fakes == "batch" else step.sample(self._fake_conditions, len(real))
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

    def _fake_conditions(self, number: int, rng: torch.Generator) -> Tensor | None:
        if self.fakes == "sampled":
            return self.condition.sample(number, rng)
        classes = self.condition.shape[0]
        # A random start: what is left over of a batch falls on every class in turn.
        start = torch.randint(classes, (), generator=rng, device=rng.device)
        chosen = (torch.arange(number, device=rng.device) + start) % classes
        return torch.eye(classes, device=rng.device)[chosen]
