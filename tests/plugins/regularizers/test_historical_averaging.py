import pytest
import torch
from torch import nn

from ganvas_plugins.regularizers.historical_averaging import HistoricalAveraging


def term(duel, match):
    return duel.penalty(duel.regularizers[0], match)["penalty/historicalaveraging"]


def test_the_distance_to_the_mean_of_all_steps_whose_gradient_takes_the_mean_for_a_constant(
    critic, make_duel, make_match
):
    duel = make_duel(critic(torch.zeros(12)), lambda duel: HistoricalAveraging(duel, weight=0.5))
    slope, history = duel.discriminator.slope, []
    for index in range(4):
        with torch.no_grad():
            slope.copy_(torch.arange(12.0) * (index + 1) ** 2)
        history.append(slope.detach().clone())
        mean = torch.stack(history).mean(0)
        slope.grad = None
        value = term(duel, make_match(duel, index=index))
        value.backward()
        assert value.item() == pytest.approx(0.5 * (slope - mean).square().sum().item(), rel=1e-5, abs=1e-6)
        torch.testing.assert_close(slope.grad, 0.5 * 2 * (slope.detach() - mean))
    assert slope.grad.any()
    torch.testing.assert_close(duel.regularizers[0].discriminator, mean)


@pytest.mark.parametrize("of", ["generator", "discriminator", "both"])
def test_whose_parameters(of, critic, make_duel, make_match):
    duel = make_duel(critic(torch.ones(12)), lambda duel: HistoricalAveraging(duel, of=of))
    kept = {name: value for name, value in duel.state_dict().items() if "regularizers" in name}
    sides = ["generator", "discriminator"] if of == "both" else [of]
    assert kept.keys() == {f"regularizers.0.{side}{end}" for side in sides for end in ("", "_steps")}
    for side in ("generator", "discriminator"):
        assert ("penalty/historicalaveraging" in duel.terms(make_match(duel, side))) == (side in sides)
    # Each side has a mean of its own: a linear layer's weight and bias, or the critic's slope.
    sizes = {"generator": 2 * 12 + 12, "discriminator": 12}
    assert [len(duel.state_dict()[f"regularizers.0.{side}"]) for side in sides] == [sizes[side] for side in sides]


def test_parameters_that_are_not_trained_do_not_count(critic, make_duel, make_match):
    generator = nn.Linear(2, 12)
    generator.bias.requires_grad_(False)
    duel = make_duel(
        critic(torch.ones(12)), lambda duel: HistoricalAveraging(duel, of="generator"), generator=generator
    )
    term(duel, make_match(duel, "generator"))
    with torch.no_grad():
        generator.weight.add_(2.0)
        generator.bias.add_(100.0)
    # Of w and w + 2 the mean is w + 1, at a distance of 1 in 24 numbers.
    assert term(duel, make_match(duel, "generator")).item() == pytest.approx(24, rel=1e-4)
