import pytest
import torch

from ganvas import Critique
from ganvas_plugins.losses.feature_matching import FeatureMatching
from ganvas_plugins.losses.hinge import Hinge
from ganvas_plugins.losses.non_saturating import NonSaturating


def critique(features=None, scores=None, **layers):
    number = len(features if features is not None else next(iter(layers.values()), torch.zeros(2)))
    return Critique(torch.zeros(number) if scores is None else scores, features, layers)


def matched(real, fake, **options):
    return {k: v.item() for k, v in FeatureMatching(loss=NonSaturating, **options).generator(fake, real).items()}


REAL = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
FAKE = torch.tensor([[0.0, 5.0], [1.0, 1.0]])  # means (2, 1) and (0.5, 3)


def test_it_is_the_distance_of_the_means():
    real, fake = critique(REAL), critique(FAKE)
    assert matched(real, fake) == pytest.approx({"feature_matching": 1.5**2 + 2**2})
    assert matched(real, fake, distance="absolute", weight=3.0) == pytest.approx({"feature_matching": 3 * 3.5 / 2})
    assert matched(critique(REAL), critique(REAL.flip(0)))["feature_matching"] == 0
    assert matched(critique(REAL.repeat(3, 1)), fake) == pytest.approx(matched(real, fake))


def test_the_size_of_a_map_changes_nothing():
    wide = [critique(value[:, :, None, None].expand(-1, -1, 3, 5)) for value in (REAL, FAKE)]
    for distance in ("squared", "absolute"):
        flat = matched(critique(REAL), critique(FAKE), distance=distance)
        assert matched(*wide, distance=distance) == pytest.approx(flat)
    # Places are compared with their like: a map that is only moved does not match.
    moved = torch.tensor([[[[1.0, 0.0]]]])
    assert matched(critique(moved), critique(moved.flip(3)))["feature_matching"] == pytest.approx(1)


def test_layers_are_matched_by_name_and_summed():
    real, fake = (critique(value, one=value, two=10 * value) for value in (REAL, FAKE))
    assert matched(real, fake, layers=["two"])["feature_matching"] == pytest.approx(625)
    assert matched(real, fake, layers=["one", "two"])["feature_matching"] == pytest.approx(631.25)
    assert FeatureMatching(loss=Hinge, layers=["one", "two"]).layers == ("one", "two")


def test_without_names_it_is_what_the_head_judges_or_else_the_last_layer():
    real, fake = (critique(None, one=10 * value, two=value) for value in (REAL, FAKE))
    assert matched(real, fake)["feature_matching"] == pytest.approx(6.25)
    with pytest.raises(ValueError) as caught:
        matched(critique(), critique())
    assert str(caught.value) == (
        "feature-matching finds neither features nor layers in the critiques; use another discriminator"
    )


def test_the_discriminator_plays_the_wrapped_loss_and_the_generator_may_keep_a_share():
    real, fake = critique(REAL, torch.tensor([0.5, 2.0])), critique(FAKE, torch.tensor([-0.5, 1.0]))
    loss = FeatureMatching(loss=Hinge, adversarial=0.25)
    assert loss.discriminator(real, fake).item() == Hinge().discriminator(real, fake).item()
    terms = loss.generator(fake, real)
    assert terms["adversarial"].item() == pytest.approx(0.25 * -0.25)
    assert terms["feature_matching"].item() == pytest.approx(6.25)


def test_its_gradient_reaches_the_fakes_through_the_features_alone():
    features, scores = FAKE.clone().requires_grad_(True), torch.zeros(2, requires_grad=True)
    loss = FeatureMatching(loss=Hinge)
    loss.generator(critique(features, scores), critique(REAL))["feature_matching"].backward()
    # d/dh_i of ‖m_real - mean(h)‖² is -2 (m_real - mean) / N, for every sample the same.
    torch.testing.assert_close(features.grad, torch.tensor([[-1.5, 2.0], [-1.5, 2.0]]))
    assert scores.grad is None


def test_means_of_bfloat16_features_are_taken_in_float32():
    values = torch.full((256, 4), 1.0).bfloat16()
    other = values.clone()
    other[0] = 2.0  # the mean moves by 1/256, half a step of bfloat16 at 1
    found = matched(critique(values), critique(other))["feature_matching"]
    assert found == pytest.approx(4 / 256**2)


def test_a_layer_that_does_not_exist(checked):
    assert checked("{use: feature-matching, layers: [stem, level7]}") == (
        "spec.yaml:4:10: stages.gan: FeatureMatching reads the layer 'level7', which GlobalDiscriminator does not "
        "have; its layers are stem, level0, base, features"
    )
    assert checked("{use: top-k, loss: {use: feature-matching, layers: [stem]}}") == ""
