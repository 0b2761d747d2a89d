import pytest
import torch
from torch.nn.functional import multi_margin_loss

from ganvas import Critique
from ganvas_plugins.losses.multi_hinge import MultiHinge

LABELS = torch.tensor([0, 1])
CONDITION = torch.eye(2)


def critique(logits):
    return Critique(logits[:, 0], condition=CONDITION, classes=logits)


def test_its_values_are_those_of_the_equations():
    real = critique(torch.tensor([[2.0, 1.5, -1.0], [3.0, 0.0, 1.0]]))
    fake = critique(torch.tensor([[0.0, 1.0, 2.5], [0.0, 4.0, 1.0]]))
    # reals: 1 - 2 + 1.5 and 1 - 0 + 3; fakes as "fake": 1 - 2.5 + 1 < 0 and 1 - 1 + 4
    assert MultiHinge().discriminator(real, fake).item() == pytest.approx((0.5 + 4) / 2 + (0 + 4) / 2)
    # fakes as their class: 1 - 0 + 2.5 and 1 - 4 + 1 < 0
    assert MultiHinge().generator(fake, real).item() == pytest.approx(3.5 / 2)
    assert MultiHinge(margin=3.0).generator(fake, real).item() == pytest.approx((5.5 + 0) / 2)


def test_with_one_class_it_is_the_binary_hinge_of_the_difference():
    """K = 1: the class against "fake", so that with s = C_1 - C_2 both sides are the (clipped) hinge loss."""
    logits = torch.randn(6, 2), torch.randn(6, 2)
    real, fake = (Critique(value[:, 0], condition=torch.ones(6, 1), classes=value) for value in logits)
    scores = [value[:, 0] - value[:, 1] for value in logits]
    expected = (1 - scores[0]).clamp(min=0).mean() + (1 + scores[1]).clamp(min=0).mean()
    torch.testing.assert_close(MultiHinge().discriminator(real, fake), expected)
    torch.testing.assert_close(MultiHinge().generator(fake, real), (1 - scores[1]).clamp(min=0).mean())


def test_it_is_crammer_and_singers_loss_of_the_one_class_that_comes_closest():
    logits = torch.randn(2, 3, dtype=torch.float64)
    rivals = logits.masked_fill(torch.eye(2, 3).bool(), -torch.inf).argmax(1)
    binary = torch.stack([logits[[0, 1], LABELS], logits[[0, 1], rivals]], dim=1)
    # torch sums over the classes and divides by their number: two here.
    expected = 2 * multi_margin_loss(binary, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(MultiHinge().generator(critique(logits), None), expected)


def test_places_of_a_map_count_alike():
    logits = torch.randn(2, 3)
    wide = Critique(torch.zeros(2, 2, 4), condition=CONDITION, classes=logits[:, :, None, None].expand(-1, -1, 2, 4))
    plain = critique(logits)
    torch.testing.assert_close(MultiHinge().generator(wide, None), MultiHinge().generator(plain, None))
    torch.testing.assert_close(MultiHinge().discriminator(wide, wide), MultiHinge().discriminator(plain, plain))


def test_what_check_says(checked):
    assert checked("multi-hinge", condition="labels") == (
        "spec.yaml:4:10: stages.gan: MultiHinge needs a head that gives classes, which LinearHead does not; "
        "`ganvas show loss/multi-hinge` has one that does"
    )
    assert checked("multi-hinge", head="multi-class", condition="labels") == ""
    around = "{use: feature-matching, loss: multi-hinge, distance: absolute, adversarial: 0.1}"
    assert checked(around, head="multi-class", condition="labels") == ""
