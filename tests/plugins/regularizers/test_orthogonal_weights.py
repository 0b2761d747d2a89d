import pytest
import torch
from torch import nn

from ganvas import Critique
from ganvas_plugins.layers import normalise_spectrally
from ganvas_plugins.regularizers.orthogonal_weights import OrthogonalWeights


class Player(nn.Module):
    """A dense layer, a convolution, a transposed one, an embedding and a gain."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 2)
        self.convolution = nn.Conv2d(2, 4, 3)
        self.transposed = nn.ConvTranspose2d(2, 3, 2)
        self.embedding = nn.Embedding(5, 2)
        self.gain = nn.Parameter(torch.ones(4, 4))

    def forward(self, samples, condition=None):
        return Critique(samples.flatten(1).sum(1) * self.gain.sum())


def rows(player):
    """The filters of each layer, written out one by one."""
    dense = [player.dense.weight[i] for i in range(2)]
    convolution = [player.convolution.weight[i].flatten() for i in range(4)]
    transposed = [player.transposed.weight[:, i].flatten() for i in range(3)]
    return [dense, convolution, transposed]


def term_of(duel, make_match, side="generator"):
    return duel.penalty(duel.regularizers[0], make_match(duel, side))["penalty/orthogonalweights"]


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_products_of_filters_are_squared_and_summed(diagonal, make_duel, make_match):
    player = Player()
    duel = make_duel(nn.Identity(), lambda duel: OrthogonalWeights(duel, diagonal=diagonal), generator=player)
    expected = 0.0
    for filters in rows(player):
        for i, first in enumerate(filters):
            for j, second in enumerate(filters):
                if i != j or diagonal:
                    expected += ((first @ second).item() - (i == j)) ** 2
    assert term_of(duel, make_match).item() == pytest.approx(1e-4 * expected, rel=1e-5)


def test_its_gradient_is_that_of_the_papers_equation(make_duel, make_match):
    layer = nn.Linear(5, 3)
    duel = make_duel(nn.Identity(), lambda duel: OrthogonalWeights(duel, weight=1.0), generator=layer)
    term_of(duel, make_match).backward()
    weight = layer.weight.detach()
    torch.testing.assert_close(layer.weight.grad, 4 * ((weight @ weight.T) * (1 - torch.eye(3))) @ weight)
    assert layer.bias.grad is None


def test_orthogonal_filters_of_any_length_cost_nothing(make_duel, make_match):
    layer = nn.Linear(5, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([1.0, 2.0, 3.0])) @ torch.linalg.qr(torch.randn(5, 3))[0].T)
    options = {}, {"diagonal": True}
    duel = make_duel(
        nn.Identity(), *(lambda duel, o=o: OrthogonalWeights(duel, weight=1.0, **o) for o in options), generator=layer
    )
    values = [regularizer.penalty(make_match(duel, "generator")).item() for regularizer in duel.regularizers]
    assert values == pytest.approx([0, 0 + (4 - 1) ** 2 + (9 - 1) ** 2], abs=1e-4)


@pytest.mark.parametrize("of", ["generator", "discriminator", "both"])
def test_whose_weights(of, make_duel, make_match):
    generator, critic = Player(), Player()
    duel = make_duel(critic, lambda duel: OrthogonalWeights(duel, of=of), generator=generator)
    sides = {"generator", "discriminator"} if of == "both" else {of}
    assert duel.regularizers[0].joins == sides
    for side in sides:
        term_of(duel, make_match, side).backward()
    for side, player in (("generator", generator), ("discriminator", critic)):
        assert (player.convolution.weight.grad is not None) == (side in sides)
        assert player.embedding.weight.grad is None
        assert player.gain.grad is None


def test_weights_count_as_they_are_before_spectral_normalisation(make_duel, make_match):
    plain, normalised = nn.Linear(5, 3), nn.Linear(5, 3)
    normalised.load_state_dict(plain.state_dict())
    normalise_spectrally(normalised)
    values = []
    for layer in (plain, normalised):
        duel = make_duel(nn.Identity(), lambda duel: OrthogonalWeights(duel), generator=layer)
        values.append(term_of(duel, make_match).item())
    assert values[0] == values[1] > 0


def test_under_bfloat16_it_is_the_same_number(make_duel, make_match):
    duel = make_duel(nn.Identity(), lambda duel: OrthogonalWeights(duel), generator=Player())
    expected = term_of(duel, make_match)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(term_of(duel, make_match), expected)


@pytest.mark.parametrize(("of", "remedy"), [("generator", "discriminator"), ("discriminator", "generator")])
def test_a_player_without_such_layers_is_refused(of, remedy, make_duel):
    with pytest.raises(ValueError) as error:
        make_duel(nn.Identity(), lambda duel: OrthogonalWeights(duel, of=of), generator=nn.Identity())
    assert str(error.value) == (
        "Identity has no convolution and no dense layer whose weights could be orthogonal; "
        f"set of: {remedy}, or leave out orthogonal-weights"
    )
