"""``head: projection``."""

from torch import Tensor, nn

from ganvas import Critique, Head
from ganvas_plugins.heads.parts import numbers_of


class ProjectionHead(Head):
    """A linear score, and the projection of the features onto an embedding of the condition.

        s(f, y) = ψ·f + b + ⟨e(y), f⟩

    once per sample for flat features (N, F), once per place for maps (N, F, *S). The embedding e(y) = E y is linear in
    the condition's numbers: a class picks a row of its own, attributes add theirs up, continuous numbers weigh them.
    The paper sums the features over the places before and normalises E spectrally, as all layers of its discriminator:
    the trunk does the one and ``regularizer: spectral-normalisation`` the other.

    Raises:
        ValueError: the discriminator is given no condition.

    Source: Miyato & Koyama, "cGANs with Projection Discriminator", 2018, equation 3.
    """

    conditional = True

    def __init__(self, features: int, condition: tuple[int, ...] | None) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.embedding = nn.Linear(numbers_of(condition), features, bias=False)
        nn.init.xavier_uniform_(self.embedding.weight)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Critique:
        assert condition is not None
        direction = self.embedding(condition.flatten(1))
        direction = direction.view(*direction.shape, *[1] * (features.dim() - 2))
        return Critique(self.score(features.movedim(1, -1)).squeeze(-1) + (direction * features).sum(1))
