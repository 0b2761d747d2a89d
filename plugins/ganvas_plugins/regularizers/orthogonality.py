"""``regularizer: orthogonality``."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganvas import Duel, Match, Regularizer, Scheduled


class Orthogonality(Regularizer):
    """Keeps the axes of every latent subspace of the generator orthonormal.

    With the B axes of a layer as the rows of U,

        ``mean``:      λ · mean over layers of mean((U Uᵀ - I)²)         (InfoSCC-GAN, λ = 100)
        ``frobenius``: λ · sum over layers of ½ ‖U Uᵀ - I‖²_F            (EigenGAN, λ = 1)

    It acts on every module of the generator that has ``basis_vectors``, a (B, D) tensor; ``generator: eigengan`` has.

    Raises:
        ValueError: the generator has no such module.

    Source: He, Kan and Shan, "EigenGAN: Layer-Wise Eigen-Learning for GANs", 2021, equation 5; Kinakh et al.,
    "InfoSCC-GAN", 2021.
    """

    joins = frozenset({"generator"})

    def __init__(
        self,
        duel: Duel,
        *,
        weight: Annotated[Scheduled, Field(ge=0, description="λ, the strength")] = 100.0,
        norm: Annotated[
            Literal["mean", "frobenius"], Field(description="mean over layers and entries, or half the summed squares")
        ] = "mean",
        **options: Any,
    ) -> None:
        super().__init__(duel, weight=weight, **options)
        if not _bases(duel.generator):
            raise ValueError(
                f"{type(duel.generator).__name__} has no latent subspaces to keep orthonormal; "
                "use generator: eigengan, or leave out orthogonality"
            )
        self.norm = norm

    def penalty(self, match: Match) -> Tensor:
        squares = [_deviation(basis).square() for basis in _bases(match.duel.generator)]
        if self.norm == "mean":
            return torch.stack([square.mean() for square in squares]).mean()
        return 0.5 * torch.stack([square.sum() for square in squares]).sum()


def _bases(generator: nn.Module) -> list[Tensor]:
    found = (getattr(module, "basis_vectors", None) for module in generator.modules())
    return [basis for basis in found if basis is not None]


def _deviation(basis: Tensor) -> Tensor:
    # Under bfloat16 the identity would be met to two digits only.
    with torch.autocast(basis.device.type, enabled=False):
        return basis @ basis.T - torch.eye(len(basis), device=basis.device, dtype=basis.dtype)
