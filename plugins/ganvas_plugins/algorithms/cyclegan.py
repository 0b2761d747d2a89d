"""``cyclegan``: two translators and two discriminators over unpaired images of two domains."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ganvas import (
    Algorithm,
    Augmentation,
    Data,
    Discriminator,
    Duel,
    Loss,
    Match,
    Preview,
    Scheduled,
    Step,
    Terms,
    Translator,
    Update,
    Use,
)


class CycleGan(Algorithm):
    """Translates between two domains of images that are not paired.

    With translators G: A -> B and F: B -> A, and a discriminator for each domain, an iteration over images a and b is

    1. one joint step of G and F on

           L_G(D_B; G(a)) + L_G(D_A; F(b)) + λ (E|F(G(a)) - a| + E|G(F(b)) - b|) + ι (E|G(b) - b| + E|F(a) - a|),

       λ = ``cycle``, ι = ``identity``, |·| the mean absolute difference;
    2. one joint step of D_A and D_B on ½ L_D each, where each judges fakes out of a pool of the last ones.

    The dataset has sources ``a`` and ``b`` (``dataset: unpaired``), whose images have the same shape; others raise
    ``ValueError``.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017,
    equations 1 to 3 and sections 4 and 5.2.
    """

    gives = {
        "a_to_b": Translator,
        "b_to_a": Translator,
        "discriminator_a": Discriminator,
        "discriminator_b": Discriminator,
    }
    averaged = ("a_to_b", "b_to_a")
    example: ClassVar[Mapping[str, Any]] = {
        "stages.gan": ...,
        "stages.gan.dataset": {"use": "unpaired", "a": "mnist-5k", "b": {"use": "digits", "size": 28}},
        "stages.gan.steps": 500,
    }

    def __init__(
        self,
        data: Data,
        *,
        translator: Annotated[Use[Translator], Field(description="image to image; one is built each way")] = "resnet",
        discriminator: Annotated[Use[Discriminator], Field(description="one is built per domain")] = MappingProxyType(
            {"use": "patch", "norm": "instance"}
        ),
        loss: Annotated[
            Use[Loss], Field(description="the adversarial loss; the discriminators' is halved")
        ] = MappingProxyType({"use": "least-squares", "factor": 1.0}),
        augmentation: Annotated[Use[Augmentation], Field(description="of all that discriminators see")] = "none",
        cycle: Annotated[Scheduled, Field(ge=0, description="weight of coming back to the start")] = 10.0,
        identity: Annotated[Scheduled, Field(ge=0, description="weight of leaving the target domain unchanged")] = 5.0,
        pool: Annotated[int, Field(ge=0, description="past fakes that a discriminator may be shown; 0 for none")] = 50,
    ) -> None:
        super().__init__(data)
        if missing := self.needs - set(data.fields):
            raise ValueError(f"the dataset has no {' and no '.join(sorted(missing))}; use dataset: unpaired")
        shape, other = data.image_shape("a"), data.image_shape("b")
        if shape[1:] != other[1:]:
            sizes = " and ".join(f"{height}x{width}" for _, height, width in (shape, other))
            raise ValueError(f"the two domains are {sizes}; give both datasets the same size")
        if shape[0] != other[0]:
            raise ValueError(
                f"the two domains have {shape[0]} and {other[0]} channels; give both datasets grey or both RGB images"
            )

        def duel(way: str, domain: str) -> Duel:
            names = {"generator": way, "discriminator": f"discriminator_{domain}"}
            return Duel(discriminator(shape, None), loss(), augmentation(), [], translator(shape, None), names)

        self.to_b = duel("a_to_b", "b")
        self.to_a = duel("b_to_a", "a")
        self.pool_b = ImagePool(pool, shape)
        self.pool_a = ImagePool(pool, shape)
        self.cycle = Scheduled.of(cycle)
        self.identity = Scheduled.of(identity)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"a.images", "b.images"})

    def networks(self) -> dict[str, nn.Module]:
        return self.to_b.networks() | self.to_a.networks()

    def updates(self) -> list[Update | tuple[Update, ...]]:
        translators = [*self.to_b.trains("generator"), *self.to_a.trains("generator")]
        discriminators = [*self.to_a.trains("discriminator"), *self.to_b.trains("discriminator")]
        return [
            Update("translators", trains=translators, objective=self.translator_terms),
            Update("discriminators", trains=discriminators, objective=self.discriminator_terms),
        ]

    def translator_terms(self, step: Step) -> Terms:
        a, b = step.batch["a.images"], step.batch["b.images"]
        a_to_b, b_to_a = self.to_b.generator, self.to_a.generator
        to_b = Match("generator", step, self.to_b, real=b, fake=lambda: a_to_b(a))
        to_a = Match("generator", step, self.to_a, real=a, fake=lambda: b_to_a(b))
        step.shared["fakes"] = to_a.fake.detach(), to_b.fake.detach()

        terms = _named(self.to_b.terms(to_b), "b") | _named(self.to_a.terms(to_a), "a")
        cycle, identity = self.cycle.at(step), self.identity.at(step)
        terms["cycle-a"] = cycle * l1_loss(b_to_a(to_b.fake), a)
        terms["cycle-b"] = cycle * l1_loss(a_to_b(to_a.fake), b)
        if identity > 0:
            terms["identity-a"] = identity * l1_loss(b_to_a(a), a)
            terms["identity-b"] = identity * l1_loss(a_to_b(b), b)
        return terms

    def discriminator_terms(self, step: Step) -> Terms:
        fake_a, fake_b = step.shared["fakes"]
        terms: Terms = {}
        for domain, duel, pool, fakes in (("a", self.to_a, self.pool_a, fake_a), ("b", self.to_b, self.pool_b, fake_b)):
            pooled = pool.exchange(fakes, step.rng)
            match = Match(
                "discriminator", step, duel, real=step.batch[f"{domain}.images"], fake=lambda pooled=pooled: pooled
            )
            terms |= {name: 0.5 * term for name, term in _named(duel.terms(match), domain).items()}
            for which in ("real", "fake"):  # a duel knows nothing of another one: give its scores the domain's name
                step.log(f"scores/{which}-{domain}", step.logged.pop(f"scores/{which}"))
        return terms

    def matches(self, step: Step) -> dict[str, Match]:
        """A round in each domain, of fresh translations only: what the pools hold belongs to training."""
        duels = {"a": (self.to_a, step.batch["b.images"]), "b": (self.to_b, step.batch["a.images"])}
        return {
            domain: Match(
                "discriminator",
                step,
                duel,
                real=step.batch[f"{domain}.images"],
                fake=lambda duel=duel, images=images: duel.generator(images),
            )
            for domain, (duel, images) in duels.items()
        }

    def translate(self, images: Tensor, to: Literal["a", "b"] = "b") -> Tensor:
        """(N, C, H, W) of the other domain -> the same in domain ``to``, both in [-1, 1]."""
        return (self.to_b if to == "b" else self.to_a).generator(images)

    @torch.no_grad()
    def previews(self, batch: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Preview]:
        """Each way, a row per image: the image, its translation, and the translation back."""
        pictures = {}
        for source, target in (("a", "b"), ("b", "a")):
            images = batch[f"{source}.images"][:_ROWS]
            translated = self.translate(images, target)
            rows = torch.stack([images, translated, self.translate(translated, source)], dim=1)
            pictures[f"{source}_to_{target}"] = Preview(rows.flatten(0, 1), 3)
        return pictures


class ImagePool(nn.Module):
    """Past fakes, so that a discriminator does not forget them.

    Until ``capacity`` images are in, each is kept and returned. After that an image is returned as it is with
    probability ½; otherwise it takes the place of a random one of the pool, which is returned. The places drawn for one
    batch differ. A pool of capacity 0 returns everything as it is.

    Source: Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", 2017,
    section 2.3.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.capacity = capacity
        self.filled = 0
        self.register_buffer("images", torch.zeros(capacity, *shape))

    @torch.no_grad()
    def exchange(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """(N, C, H, W) -> as many images, some of them older ones."""
        new = min(self.capacity - self.filled, len(images))
        kept, rest, beyond = images[:new], images[new : new + self.capacity], images[new + self.capacity :]
        self.images[self.filled : self.filled + new] = kept
        self.filled += new
        places = torch.randperm(self.capacity, generator=rng, device=rng.device)[: len(rest)]
        older = self.images[places].to(images.dtype)
        swapped = (torch.rand(len(rest), generator=rng, device=rng.device) < 0.5)[:, None, None, None]
        self.images[places] = torch.where(swapped, rest, older).to(self.images.dtype)
        return torch.cat([kept, torch.where(swapped, older, rest), beyond])

    def get_extra_state(self) -> dict[str, int]:
        return {"filled": self.filled}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        self.filled = int(state["filled"])


def _named(terms: Terms, domain: str) -> Terms:
    return {f"{name}-{domain}": term for name, term in terms.items()}


_ROWS = 8
