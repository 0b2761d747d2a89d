"""``latent-conditional``: a generator conditioned on features, a discriminator that judges couples of images."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from ganvas import (
    Condition,
    Data,
    Discriminator,
    Duel,
    Generated,
    Generator,
    Match,
    Preview,
    Regularizer,
    Step,
    Terms,
    Update,
    Use,
)
from ganvas_plugins.algorithms.one_duel import OneDuel
from ganvas_plugins.losses.minimax import Minimax
from ganvas_plugins.losses.non_saturating import NonSaturating


class LatentConditional(OneDuel):
    """Learns to draw images like a given one from features that no label was used for.

    f(x) are the features of an image, ``condition: {use: latent, encoder: ...}``. An iteration, for a batch of images
    x_i, finds for each of them among the others of its batch

        n_i, the nearest, and w_i, the farthest:    the smallest and the largest |f(x_i) - f(x_j)|_1,  j != i,

    and shows the discriminator couples, side by side on the channels (2C, H, W), with their logits s:

        adversarial: (n_i, G(z, f(x_i)))    same: (n_i, x_i)    different: (n_i, w_i)

    1. the generator descends E[log(1 - σ(s_adversarial))], or with ``saturating: false`` -E[log σ(s_adversarial)];
    2. in every ``discriminator_every``-th iteration the discriminator descends, with the three weights λ,

        L_D = -λ_a E[log(1 - σ(s_adversarial))] - λ_s E[log σ(s_same)] - λ_d E[log(1 - σ(s_different))].

    So a couple passes for real if both are real and alike: the generator has to draw what belongs to f(x_i). Partners
    are looked for within the batch (of one rank): it has to be large enough for every kind of image to occur several
    times. The paper publishes no weights. Regularizers take the couples ``same`` for the reals and ``adversarial`` for
    the fakes.

    Raises:
        ValueError: the condition is not made of features, or the generator ignores it or makes other shapes than the
            data's.

    Source: Durall et al., "Latent Space Conditioning on Generative Adversarial Networks", 2021, section 3, Algorithms 1
    and 2.
    """

    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan": ...,
        "stages.gan.condition": {"use": "latent", "encoder": "features"},
        "stages.gan.steps": 500,
        "stages.gan.evaluate.metrics": [],
    }

    def __init__(
        self,
        data: Data,
        *,
        generator: Annotated[Use[Generator], Field(description="latents and features to samples")],
        discriminator: Annotated[Use[Discriminator], Field(description="couples of images to scores")],
        condition: Annotated[Use[Condition], Field(description="the features: latent, of an earlier stage's encoder")],
        regularizers: Annotated[list[Use[Regularizer]], Field(description="further terms and constraints")] = (),
        adversarial: Annotated[float, Field(ge=0, description="λ_a, of couples with a fake")] = 1.0,
        same: Annotated[float, Field(ge=0, description="λ_s, of couples of images that are alike")] = 1.0,
        different: Annotated[float, Field(ge=0, description="λ_d, of couples of images that are not")] = 1.0,
        saturating: Annotated[bool, Field(description="the generator's loss as the paper prints it")] = True,
        discriminator_every: Annotated[
            int, Field(ge=1, description="the discriminator moves in every n-th iteration")
        ] = 1,
    ) -> None:
        super().__init__(data)
        self.condition = condition(data)
        if not self.condition.observed or {segment.kind for segment in self.condition.segments} != {"continuous"}:
            raise ValueError(
                "latent-conditional finds out by their features which images are alike, and this condition gives none; "
                "use condition: {use: latent, encoder: STAGE}"
            )
        channels, height, width = data.shape
        self.duel = Duel(
            discriminator((2 * channels, height, width), None),
            Minimax() if saturating else NonSaturating(),
            None,
            regularizers,
            self.player(generator),
            segments=self.condition.segments,
        )
        self.adversarial, self.same, self.different = adversarial, same, different
        self.discriminator_every = discriminator_every

    def check_batch(self, size: int) -> None:
        """Raises ValueError where an image has not two others to choose from."""
        if size < 3:
            raise ValueError(
                f"each image looks for a like and an unlike one in its batch, and batch_size is {size}; set it to 3 or "
                "more (64, say)"
            )

    def updates(self) -> list[Update | tuple[Update, ...]]:
        return [
            *self.duel.updates(
                self.match, order=("generator", "discriminator"), every=self.discriminator_every, adversarial=self.terms
            )
        ]

    def match(self, side: Literal["generator", "discriminator"], step: Step) -> Match:
        """One round: the couples that are alike against those with a fake."""
        if "partners" not in step.shared:
            features = self.condition.of(step.batch)
            step.shared["features"], step.shared["partners"] = features, partners(features)
        images, features, generator = step.batch["images"], step.shared["features"], self.duel.generator
        nearest = images[step.shared["partners"].nearest]
        latents = step.sample(generator.latents.sample, len(images))

        def coupled() -> Generated:
            made = Generated.of(generator(latents, features))
            return Generated(torch.cat([nearest, made.samples], dim=1), **made.fields)

        return Match(
            side,
            step,
            self.duel,
            real=torch.cat([nearest, images], dim=1),
            fake=coupled,
            latents=latents,
            condition_fake=features,
        )

    def terms(self, match: Match) -> Terms:
        """The triple coupled loss, or the generator's share of it."""
        fake = match.critique("fake")
        if match.side == "generator":
            return {"adversarial": self.duel.loss.generator(fake, fake)}
        images, found = match.step.batch["images"], match.step.shared["partners"]
        same = match.critique("real")
        different = match.criticise(torch.cat([images[found.nearest], images[found.farthest]], dim=1))
        for name, critique in {"adversarial": fake, "same": same, "different": different}.items():
            match.step.log(f"scores/{name}", critique.scores.mean())
        return {
            "adversarial": self.adversarial * softplus(fake.scores).mean(),
            "same": self.same * softplus(-same.scores).mean(),
            "different": self.different * softplus(different.scores).mean(),
        }

    @torch.no_grad()
    def previews(self, batch: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        """A row per image: the image, then samples from its features; columns share their latents."""
        images = batch["images"][:_ROWS]
        features = self.condition.of({name: values[:_ROWS] for name, values in batch.items()})
        latents = self.duel.generator.latents.sample(_COLUMNS - 1, rng)
        made = self.generate(latents.repeat(len(images), 1), features.repeat_interleave(len(latents), 0))
        rows = torch.cat([images.unsqueeze(1), made.unflatten(0, (len(images), -1))], dim=1)
        return {"samples": Preview(rows.flatten(0, 1), _COLUMNS)}


class Partners(NamedTuple):
    """For each image of a batch, (N,), the place of its nearest and its farthest other image."""

    nearest: Tensor
    farthest: Tensor


@torch.no_grad()
def partners(features: Tensor) -> Partners:
    """Features (N, ...) -> the partners of each row by the l1 distance, never the row itself."""
    distances = torch.cdist(*2 * [features.flatten(1).float()], p=1)
    own = torch.eye(len(features), dtype=torch.bool, device=features.device)
    return Partners(distances.masked_fill(own, torch.inf).argmin(1), distances.masked_fill(own, -torch.inf).argmax(1))


_ROWS = 8
_COLUMNS = 8
