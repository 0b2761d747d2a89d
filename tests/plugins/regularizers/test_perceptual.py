import copy

import pytest
import torch
from torch import nn

from ganvas import Backbone, Duel, Encoder, Trained, Translator
from ganvas_plugins.losses.wasserstein import Wasserstein
from ganvas_plugins.regularizers.perceptual import Perceptual


class Doubling(Backbone):
    """Maps: the images times two (batch-normalised, which is times two at first), and their sums."""

    features = 1

    def __init__(self, shape):
        super().__init__()
        self.norm = nn.BatchNorm2d(shape[0], eps=0)
        nn.init.constant_(self.norm.weight, 2.0)

    def forward(self, images):
        return self.feature_maps(images)["sum"].flatten(1)

    def feature_maps(self, images):
        doubled = self.norm(images)
        return {"doubled": doubled, "sum": doubled.sum((1, 2, 3), keepdim=True)}


class Encoding(Encoder):
    features = 1

    def __init__(self):
        super().__init__()
        self.backbone = Doubling((1, 3, 4))

    def objective(self, *views):
        return {}

    def encode(self, images):
        return self.backbone(images)


class Shifting(Translator):
    """Adds a number to its images."""

    sample_shape = (1, 3, 4)

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.5))

    def forward(self, images, condition=None):
        return images + self.shift


def duel_of(critic, paired=True, **options):
    generator = Shifting()
    options = {"network": Doubling, **options}
    regularizer = lambda duel: Perceptual(duel, **options)  # noqa: E731
    return Duel(critic(torch.ones(12)), Wasserstein(), None, [regularizer], generator, paired=paired)


def term_of(duel, make_match):
    """The term where the fake is its real, moved by 0.5."""
    match = make_match(duel, "generator", fake=lambda: duel.generator(make_match(duel).real))
    return duel.penalty(duel.regularizers[0], match)["penalty/perceptual"]


# The maps of the fake differ by 2 x 0.5 in each of 12 places, and by 12 in their sum.
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 1 + 144),
        ({"distance": "l1"}, 1 + 12),
        ({"layers": ["doubled"]}, 1),
        ({"layers": ["sum"], "weight": 0.5}, 72),
        ({"layers": ["sum", "doubled"], "distance": "l1", "weight": 2.0}, 26),
    ],
)
def test_the_mean_difference_of_each_layer_is_summed(critic, make_match, options, expected):
    assert term_of(duel_of(critic, **options), make_match).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("of_a_stage", [True, False])
def test_the_network_passes_gradients_and_keeps_every_bit(critic, make_match, of_a_stage):
    encoder = Encoding()
    duel = duel_of(critic, network=Trained(encoder) if of_a_stage else Doubling, layers=["doubled"]).train()
    frozen = encoder if of_a_stage else duel.regularizers[0].maps.network
    before = copy.deepcopy(frozen.state_dict())
    term_of(duel, make_match).backward()
    # d/ds mean (2 (x + s) - 2 x)² = 8 s
    assert duel.generator.shift.grad.item() == pytest.approx(8 * 0.5, rel=1e-5)
    assert all(torch.equal(before[name], value) for name, value in frozen.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())
    assert not any(module.training for module in frozen.modules())
    # A backbone is part of the duel's state; what an earlier stage trained is kept by the engine.
    assert any("maps" in name for name in duel.state_dict()) is not of_a_stage
    assert set(duel.networks()) == {"generator", "discriminator"}


def test_unpaired_fakes_are_refused(critic):
    with pytest.raises(ValueError) as error:
        duel_of(critic, paired=False)
    assert str(error.value) == (
        "perceptual compares a fake with the real image whose condition it was made from, and here fakes and reals "
        "are not paired; give the stage a condition (latent, say) and fakes: batch"
    )
