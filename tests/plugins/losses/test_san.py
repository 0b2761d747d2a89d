import pytest
import torch
from torch import nn

from ganvas import Critique, Loss
from ganvas.registry.plugins import Host
from ganvas_plugins.heads.san import SanHead
from ganvas_plugins.losses.feature_matching import FeatureMatching
from ganvas_plugins.losses.hinge import Hinge
from ganvas_plugins.losses.least_squares import LeastSquares
from ganvas_plugins.losses.minimax import Minimax
from ganvas_plugins.losses.non_saturating import NonSaturating
from ganvas_plugins.losses.san import San
from ganvas_plugins.losses.softplus_least_squares import SoftplusLeastSquares
from ganvas_plugins.losses.top_k import TopK
from ganvas_plugins.losses.wasserstein import Wasserstein

HOST = Host()
LOSSES = [HOST.resolve(entry) for entry in HOST.entries("loss") if entry.plugin == "ganvas"]
MONOTONE = [loss for loss in LOSSES if loss.monotone]
R = {
    Hinge: lambda s: -s,
    Wasserstein: lambda s: -s,
    NonSaturating: lambda s: (1 + (-s).exp()).log(),
    Minimax: lambda s: -(1 + s.exp()).log(),
    SoftplusLeastSquares: lambda s: (1 + (1 - s).exp()).log() ** 2,
}


@pytest.fixture
def judged():
    torch.manual_seed(0)
    head = SanHead(6, None, bias=False, scale=False).double()
    features = torch.randn(8, 6, dtype=torch.float64) + 1, torch.randn(8, 6, dtype=torch.float64)
    return head, *features


def test_the_losses_that_can_be_converted_are_known():
    assert set(MONOTONE) == set(R)


@pytest.mark.parametrize("wrapped", MONOTONE)
def test_monotone_losses_are_means_of_a_function_that_never_rises(wrapped):
    scores = torch.linspace(-5, 5, 11, dtype=torch.float64)
    each = torch.stack([wrapped().generator(Critique(score[None]), None) for score in scores])
    assert (each.diff() <= 0).all()
    torch.testing.assert_close(wrapped().generator(Critique(scores), None), each.mean())


@pytest.mark.parametrize("wrapped", MONOTONE)
def test_the_conversion(wrapped, judged):
    head, real, fake = judged
    made, plain, weight = San(loss=wrapped, weight=3.0), wrapped(), head.weight / head.weight.norm()
    terms = made.discriminator(head(real), head(fake))
    torch.testing.assert_close(terms["adversarial"], plain.discriminator(head(real), head(fake)))
    expected = 3 * (R[wrapped](real @ weight[0]).mean() - R[wrapped](fake @ weight[0]).mean())
    torch.testing.assert_close(terms["direction"], expected)
    # The generator's side stays as it is.
    assert torch.equal(made.generator(head(fake), None), plain.generator(head(fake), None))


@pytest.mark.parametrize("wrapped", MONOTONE)
def test_the_features_learn_from_the_wrapped_loss_and_the_direction_from_its_own_term(wrapped, judged):
    head, real, fake = judged
    real.requires_grad_(True)
    terms = San(loss=wrapped).discriminator(head(real), head(fake))
    at_features, at_weight = torch.autograd.grad(
        terms["adversarial"], [real, head.weight], retain_graph=True, allow_unused=True
    )
    assert at_features.any()
    assert at_weight is None
    at_features, at_weight = torch.autograd.grad(terms["direction"], [real, head.weight], allow_unused=True)
    assert at_features is None
    assert at_weight.any()
    assert (at_weight @ head.weight.T).abs().item() < 1e-12


def test_with_the_features_fixed_the_direction_becomes_the_difference_of_the_means(judged):
    head, real, fake = judged
    optimizer = torch.optim.Adam([head.weight], 0.05)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 300)
    for _ in range(300):
        optimizer.zero_grad()
        San(loss=Wasserstein).discriminator(head(real), head(fake))["direction"].backward()
        optimizer.step()
        decay.step()
    best = real.mean(0) - fake.mean(0)
    torch.testing.assert_close(nn.functional.normalize(head.weight, dim=1)[0], best / best.norm(), atol=1e-3, rtol=0)


def test_what_it_wraps_may_have_needs_of_its_own():
    class Needy(Wasserstein):
        needs = frozenset({"norm"})
        layers = ("first",)
        trained_in = "generator"

    made = San(loss=Needy)
    assert made.needs == {"direction", "norm"}
    assert (made.layers, made.trained_in) == (("first",), "generator")
    assert Needy.needs == Loss.needs | {"norm"}


@pytest.mark.parametrize(
    ("wrapped", "name"), [(LeastSquares, "LeastSquares"), (lambda: TopK(loss=Hinge), "TopK")], ids=["plain", "wrapping"]
)
def test_a_loss_that_is_not_monotone_is_refused(wrapped, name):
    with pytest.raises(ValueError) as caught:
        San(loss=wrapped)
    assert str(caught.value) == (
        f"san cannot convert {name}: the generator's side must be the mean over the fakes of a function that never "
        "rises with a score; use softplus-least-squares for least squares, and put a loss that wraps others around san"
    )


def test_what_check_says(checked):
    assert checked("san") == (
        "spec.yaml:4:10: stages.gan: San needs a head that gives direction, which LinearHead does not; "
        "`ganvas show loss/san` has one that does"
    )
    assert checked("hinge", head="san") == (
        "spec.yaml:4:10: stages.gan: SanHead trains wrongly under Hinge, which does not use direction; "
        "`ganvas show head/san` has a loss that does"
    )
    assert checked("{use: san, loss: least-squares}", head="san") == (
        "spec.yaml:7:17: stages.gan.loss: san cannot convert least-squares: the generator's side must be the mean over "
        "the fakes of a function that never rises with a score; use softplus-least-squares for least squares, and put "
        "a loss that wraps others around san"
    )
    assert checked("{use: top-k, loss: {use: san, loss: softplus-least-squares}}", head="san") == ""


def test_losses_around_it_hand_its_needs_on():
    for around in (TopK, FeatureMatching):
        assert around(loss=lambda: San(loss=Hinge)).needs == {"direction"}
