"""``regularizer: mutual-information``."""

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ganvas import Duel, Match, Regularizer, Terms
from ganvas_plugins.classifiers.targets import parts


class MutualInformation(Regularizer):
    """Asks that the codes a sample was made from can be read off the sample: both players gain from a lower bound.

        I(c; G(z, c)) >= L_I = E[log Q(c | G(z, c))] + H(c),      both sides minimise -λ L_I,    λ = ``weight``

    Q is a network of its own, FC(``hidden``) and leaky ReLU (0.1) and FC, over the discriminator's last features (the
    mean over the places where they are a map). It is trained in the discriminator's update, on fakes only; there the
    discriminator's trunk learns with it, and in the generator's update the generator. Q says of each categorical code
    how probable its values are, and of each continuous one a normal density, mean and deviation:

        categorical, K values:    L_I = log K - E[cross entropy],                        at most log K, 0 at a loss
        continuous:               L_I = E[log N(c; m, s^2)],  s learned, or ``deviation``

    summed over the codes. H(c) of the continuous ones is a constant that no gradient sees, and is left out. The
    authors' code for MNIST has s = 1, which makes the last line half a squared error.

    Terms: ``mutual-information`` and ``mutual-information-continuous``. Logged beside the scores are ``information``,
    the bound of the categorical codes in nats, and ``explained``, the share of the continuous codes' variation
    1 - E[(c - m)^2] / E[c^2] that Q knows (1 is all of it). The published Q has batch norm after its first layer
    (``norm: batch``), which cannot train on a batch of one.

    Raises:
        ValueError: the stage's condition is no code, or the discriminator gives no features.

    Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
    Adversarial Nets", 2016, equations 5 and 6 and appendix C.
    """

    # The quickstart's condition are the labels, which the reals have too.
    example: ClassVar[dict[str, Any]] = {
        "stages.gan.condition": "code",
        "stages.gan.regularizers": [...],
        "stages.gan.evaluate.metrics": [],
    }
    joins = frozenset({"generator", "discriminator"})
    trained_in = "discriminator"

    def __init__(
        self,
        duel: Duel,
        *,
        continuous_weight: Annotated[
            float, Field(ge=0, description="factor of the continuous codes' share, beside the weight of all")
        ] = 1.0,
        deviation: Annotated[
            float | None, Field(gt=0, description="s of the continuous codes; left out: learned, one for each")
        ] = None,
        hidden: Annotated[int, Field(ge=1, description="width of Q's hidden layer")] = 128,
        norm: Annotated[Literal["batch", "none"], Field(description="normalisation of Q's hidden layer")] = "none",
        **options: Any,
    ) -> None:
        super().__init__(duel, **options)
        if not duel.segments or duel.observed:
            raise ValueError(
                "mutual-information asks for the codes that only fakes are made from, and this stage has none; "
                "use condition: code"
            )
        self.segments = duel.segments
        self.continuous_weight = continuous_weight
        self.deviation = deviation
        self.norm = norm
        size = sum(segment.size for segment in self.segments)
        learned = sum(segment.size for segment in self.segments if segment.kind == "continuous" and deviation is None)
        self.network = nn.Sequential(
            nn.Linear(trunk_features(duel), hidden, bias=norm == "none"),
            nn.BatchNorm1d(hidden) if norm == "batch" else nn.Identity(),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, size + learned),
        )

    def check_batch(self, size: int) -> None:
        """Raises ValueError for a batch that batch norm cannot train with."""
        if self.norm == "batch" and size < 2:
            raise ValueError(
                f"norm: batch takes the statistics of a batch, and batch_size is {size}; set it to 2 or more"
            )

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What Q makes of a discriminator's features (N, F) or (N, F, *S).

        Returns:
            (N, K), the codes: logits of the values of a categorical one, the mean of a continuous one; and (N, C), the
            logarithms of the deviations of the C continuous ones.
        """
        size = sum(segment.size for segment in self.segments)
        said = self.network(features.flatten(2).mean(2) if features.dim() > 2 else features).float()
        codes, logarithms = said[:, :size], said[:, size:]
        if self.deviation is not None:
            count = sum(segment.size for segment in self.segments if segment.kind == "continuous")
            logarithms = codes.new_full((len(codes), count), math.log(self.deviation))
        return codes, logarithms

    def penalty(self, match: Match) -> Terms:
        said, logarithms = self.posterior(match.critique("fake").features)
        given = match.condition_fake
        discrete, continuous = [], []
        for segment, part, code in parts(said, given, self.segments):
            if segment.kind == "one-hot":
                discrete.append(math.log(segment.size) - cross_entropy(part, code))
            elif segment.kind == "binary":
                discrete.append(segment.size * (math.log(2) - binary_cross_entropy_with_logits(part, code)))
            else:
                logarithm, logarithms = logarithms[:, : segment.size], logarithms[:, segment.size :]
                continuous.append((part, code, logarithm))
        terms: Terms = {}
        if discrete:
            bound = torch.stack(discrete).sum()
            terms["mutual-information"] = -bound
            match.step.log("scores/information", bound)
        if continuous:
            mean, code, logarithm = (torch.cat(found, dim=1) for found in zip(*continuous, strict=True))
            # A deviation near zero would make the density, and with it every gradient, as large as one likes.
            logarithm = logarithm.clamp(min=math.log(_LEAST))
            error = (code - mean).square()
            density = -0.5 * (error * (-2 * logarithm).exp() + math.log(2 * math.pi)) - logarithm
            terms["mutual-information-continuous"] = -self.continuous_weight * density.sum(1).mean()
            match.step.log("scores/explained", 1 - error.mean() / code.square().mean())
        return terms


@torch.no_grad()
def trunk_features(duel: Duel) -> int:
    """F, the channels of the discriminator's last features, seen from one sample of zeros.

    Raises:
        ValueError: it gives none.
    """
    network = duel.discriminator
    modes = {module: module.training for module in network.modules()}
    like = next(network.parameters())
    network.eval()  # no running statistic is moved by the look
    try:
        critique = network(torch.zeros(1, *duel.generator.sample_shape, device=like.device))
    finally:
        for module, mode in modes.items():
            module.training = mode
    if critique.features is None:
        raise ValueError(
            f"mutual-information reads the discriminator's features, and {type(network).__name__} gives none; use "
            "dcgan, say"
        )
    return critique.features.shape[1]


_LEAST = 0.01  # of the learned deviations
