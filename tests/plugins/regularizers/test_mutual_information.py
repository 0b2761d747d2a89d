import math

import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator, Duel, Generator, Latents, Match, Segment
from ganvas_plugins.losses.non_saturating import NonSaturating
from ganvas_plugins.regularizers.mutual_information import MutualInformation

CODE = (Segment("one-hot", 5), Segment("continuous", 2))
SIZE = 7


class Draws(Generator):
    """The code, spread over 2x4x4 numbers."""

    sample_shape = (2, 4, 4)
    conditional = True

    def __init__(self):
        super().__init__()
        self.latents = Latents({"z": 3})
        self.layer = nn.Linear(3 + SIZE, 32)

    def forward(self, latents, condition=None):
        return self.layer(torch.cat([latents, condition], 1)).view(-1, 2, 4, 4)


class Trunk(Discriminator):
    """The samples, flat or as they are, are the features."""

    def __init__(self, flat=True):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.flat = flat
        self.score = nn.Linear(2, 1)

    def forward(self, samples, condition=None):
        maps = self.norm(samples)
        return Critique(self.score(maps.mean((2, 3))).squeeze(1), features=maps.flatten(1) if self.flat else maps)


def duel_of(discriminator=None, segments=CODE, observed=False, **options):
    return Duel(
        discriminator or Trunk(),
        NonSaturating(),
        None,
        [lambda duel: MutualInformation(duel, **options)],
        Draws(),
        segments=segments,
        observed=observed,
    )


def codes(number=8):
    classes = torch.eye(5)[torch.arange(number) % 5]
    return torch.cat([classes, torch.linspace(-1, 1, 2 * number).view(number, 2)], 1)


def match_of(duel, make_step, side="discriminator", number=8):
    generator = torch.Generator().manual_seed(1)
    condition = codes(number)
    latents = torch.randn(number, 3, generator=generator)
    return Match(
        side,
        make_step(),
        duel,
        real=torch.randn(number, 2, 4, 4, generator=generator),
        fake=lambda: duel.generator(latents, condition),
        latents=latents,
        condition_fake=condition,
    )


def says(duel, said):
    """Makes Q say what is given, whatever it is shown."""
    q = duel.regularizers[0]
    q.network = nn.Identity()
    q.network.forward = lambda features: said
    return q


def test_the_bound_is_zero_where_q_knows_nothing_and_log_k_where_it_knows_all(make_step):
    duel = duel_of(deviation=1.0)
    given = codes()
    for said, expected in ((torch.zeros(8, SIZE), 0.0), (1000 * given, math.log(5))):
        match = match_of(duel, make_step)
        term = says(duel, said).penalty(match)["mutual-information"]
        assert term.item() == pytest.approx(-expected, abs=1e-6)
        assert match.step.logged["scores/information"].item() == pytest.approx(expected, abs=1e-6)


def test_the_bound_is_never_above_log_k(make_step):
    duel = duel_of(segments=(Segment("one-hot", 5), Segment("binary", 2)))
    generator = torch.Generator().manual_seed(0)
    bounds = []
    for scale in (0.1, 1.0, 10.0, 100.0):
        for _ in range(20):
            match = match_of(duel, make_step)
            match.condition_fake = torch.cat([codes()[:, :5], torch.ones(8, 2)], 1)
            said = scale * (0.3 * torch.randn(8, SIZE, generator=generator) + 2 * match.condition_fake - 1)
            bounds.append(-says(duel, said).penalty(match)["mutual-information"].item())
    assert max(bounds) <= math.log(5) + 2 * math.log(2) + 1e-5
    assert max(bounds) > 0.9 * (math.log(5) + 2 * math.log(2))


def test_a_class_by_hand(make_step):
    # softmax(2, 0, 0, 0, 0) gives the value asked for e² / (e² + 4), or 1 / (e² + 4)
    duel = duel_of(deviation=1.0, weight=0.5)
    said = torch.zeros(5, SIZE)
    said[:, 0] = 2.0
    q = says(duel, said)
    match = match_of(duel, make_step, number=5)
    own, other = math.exp(2) / (math.exp(2) + 4), 1 / (math.exp(2) + 4)
    bound = math.log(5) + (math.log(own) + 4 * math.log(other)) / 5
    assert q.penalty(match)["mutual-information"].item() == pytest.approx(-bound, rel=1e-5)
    terms = duel.penalty(q, match)
    assert set(terms) == {"penalty/mutual-information", "penalty/mutual-information-continuous"}
    assert terms["penalty/mutual-information"].item() == pytest.approx(-0.5 * bound, rel=1e-5)


@pytest.mark.parametrize("weight", [1.0, 0.1])
@pytest.mark.parametrize("deviation", [1.0, 0.5])
def test_continuous_codes_by_hand(make_step, deviation, weight):
    # every mean is 0.3 off: log N = -0.3² / (2 s²) - log s - log(2π) / 2, for two codes
    duel = duel_of(deviation=deviation, continuous_weight=weight)
    match = match_of(duel, make_step)
    term = says(duel, codes() + 0.3).penalty(match)["mutual-information-continuous"]
    density = -(0.3**2) / (2 * deviation**2) - math.log(deviation) - 0.5 * math.log(2 * math.pi)
    assert term.item() == pytest.approx(-2 * weight * density, rel=1e-5)
    squares = codes()[:, 5:].square().mean().item()
    assert match.step.logged["scores/explained"].item() == pytest.approx(1 - 0.09 / squares, rel=1e-4)


def test_a_learned_deviation_is_best_where_it_is_the_error(make_step):
    duel = duel_of()
    assert duel.regularizers[0].network[-1].out_features == SIZE + 2
    costs = {}
    for deviation in (0.15, 0.3, 0.6):
        said = torch.cat([codes() + 0.3, torch.full((8, 2), math.log(deviation))], 1)
        costs[deviation] = says(duel, said).penalty(match_of(duel, make_step))["mutual-information-continuous"].item()
    assert min(costs, key=costs.get) == 0.3
    assert costs[0.3] == pytest.approx(2 * (0.5 + math.log(0.3) + 0.5 * math.log(2 * math.pi)), rel=1e-5)


def test_a_deviation_of_nothing_costs_no_infinity(make_step):
    said = torch.cat([codes(), torch.full((8, 2), -1000.0)], 1)
    term = says(duel_of(), said).penalty(match_of(duel_of(), make_step))["mutual-information-continuous"]
    assert term.item() == pytest.approx(2 * (math.log(0.01) + 0.5 * math.log(2 * math.pi)), rel=1e-5)


def test_gradients_reach_q_and_the_trunk_on_one_side_and_the_generator_on_the_other(make_step):
    duel = duel_of()
    q = duel.regularizers[0]
    sum(q.penalty(match_of(duel, make_step)).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in q.parameters())
    assert duel.discriminator.norm.weight.grad.any()
    assert duel.discriminator.score.weight.grad is None
    assert all(p.grad is None for p in duel.generator.parameters())
    sum(q.penalty(match_of(duel, make_step, "generator")).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in duel.generator.parameters())


def test_q_moves_with_the_discriminator_alone():
    duel = duel_of()
    assert list(duel.networks()) == ["generator", "discriminator", "mutualinformation"]
    updates = duel.updates(lambda side, step: None)
    assert [update.trains for update in updates] == [["discriminator", "mutualinformation"], ["generator"]]


def test_reals_are_never_looked_at(make_step):
    duel = duel_of()
    match = match_of(duel, make_step)
    duel.regularizers[0].penalty(match)
    assert set(match._critiques) == {"fake"}


def test_of_a_map_the_mean_over_its_places_is_read(make_step):
    duel = duel_of(Trunk(flat=False))
    q = duel.regularizers[0]
    assert q.network[0].in_features == 2
    maps = torch.randn(3, 2, 4, 4)
    torch.testing.assert_close(q.posterior(maps), q.posterior(maps.mean((2, 3))))


def test_it_learns_a_code_that_is_in_the_picture(make_step):
    """Q reads the class off samples that show it: the bound comes near log 5, and stays below."""
    torch.manual_seed(0)

    class Shows(Draws):
        def forward(self, latents, condition=None):
            return nn.functional.pad(condition, (0, 32 - SIZE)).view(-1, 2, 4, 4)

    duel = Duel(
        Trunk(),
        NonSaturating(),
        None,
        [lambda duel: MutualInformation(duel, hidden=16)],
        Shows(),
        segments=CODE,
        observed=False,
    )
    q = duel.regularizers[0]
    optimizer = torch.optim.Adam([*duel.discriminator.parameters(), *q.parameters()], lr=2e-2)
    for _ in range(150):
        terms = q.penalty(match_of(duel, make_step, number=20))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert 0.95 * math.log(5) < -terms["mutual-information"].item() <= math.log(5)


def test_batch_norm_is_the_published_qs_and_refuses_a_batch_of_one():
    q = duel_of(norm="batch", hidden=6).regularizers[0]
    assert isinstance(q.network[1], nn.BatchNorm1d)
    assert q.network[0].bias is None
    q.check_batch(2)
    with pytest.raises(ValueError) as caught:
        q.check_batch(1)
    assert str(caught.value) == (
        "norm: batch takes the statistics of a batch, and batch_size is 1; set it to 2 or more"
    )
    duel_of().regularizers[0].check_batch(1)


def test_the_look_at_the_trunk_leaves_it_as_it_was():
    trunk = Trunk()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    trunk.norm.eval()
    duel_of(trunk, hidden=3)
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    assert trunk.training
    assert not trunk.norm.training
    with torch.device("meta"):
        assert duel_of(Trunk()).regularizers[0].network[0].weight.is_meta


@pytest.mark.parametrize(("segments", "observed"), [((), True), (CODE, True), ((Segment("one-hot", 5),), True)])
def test_a_condition_without_codes_is_refused(segments, observed):
    with pytest.raises(ValueError) as caught:
        duel_of(segments=segments, observed=observed)
    assert str(caught.value) == (
        "mutual-information asks for the codes that only fakes are made from, and this stage has none; use condition: "
        "code"
    )


def test_a_discriminator_without_features_is_refused():
    class Bare(Trunk):
        def forward(self, samples, condition=None):
            return Critique(super().forward(samples).scores)

    with pytest.raises(ValueError) as caught:
        duel_of(Bare())
    assert str(caught.value) == (
        "mutual-information reads the discriminator's features, and Bare gives none; use dcgan, say"
    )


def test_under_bfloat16_the_terms_are_in_float32(make_step):
    duel = duel_of()
    with torch.autocast("cpu", torch.bfloat16):
        terms = duel.regularizers[0].penalty(match_of(duel, make_step))
    assert all(term.dtype == torch.float32 and term.isfinite() for term in terms.values())
