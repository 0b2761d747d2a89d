import pytest
import torch

from ganvas import Critique, Scheduled, Step
from ganvas_plugins.losses.feature_matching import FeatureMatching
from ganvas_plugins.losses.hinge import Hinge
from ganvas_plugins.losses.non_saturating import NonSaturating
from ganvas_plugins.losses.relativistic import Relativistic
from ganvas_plugins.losses.top_k import TopK
from ganvas_plugins.losses.wrapping import Rows

SCORES = torch.tensor([0.5, -3.0, 2.0, -1.0])


def moment(index):
    return Step(
        index=index,
        size=4,
        steps=100,
        device=torch.device("cpu"),
        rng=torch.Generator(),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )


@pytest.mark.parametrize(("share", "chosen"), [(0.5, [0, 2]), (0.75, [0, 2, 3]), (0.01, [2]), (1.0, [0, 1, 2, 3])])
def test_only_the_best_fakes_teach_the_generator(share, chosen):
    scores = SCORES.clone().requires_grad_(True)
    value = TopK(loss=NonSaturating, share=share).generator(Critique(scores), None)
    expected = NonSaturating().generator(Critique(SCORES[chosen]), None)
    torch.testing.assert_close(value, expected)
    value.backward()
    assert scores.grad.nonzero().squeeze(1).tolist() == chosen


def test_the_discriminator_learns_from_all():
    real, fake = Critique(SCORES + 1), Critique(SCORES)
    assert torch.equal(
        TopK(loss=Hinge, share=0.25).discriminator(real, fake), Hinge(margin=1.0).discriminator(real, fake)
    )


def test_a_fake_is_as_good_as_its_patches_on_average():
    patches = torch.tensor([[9.0, -9.0], [1.0, 2.0], [0.0, 1.0]])
    found = TopK(loss=Hinge, share=0.67).generator(Critique(patches), None)
    assert found.item() == pytest.approx(-1.0)


def test_partners_and_features_go_with_the_fakes_that_are_chosen():
    fake, real = Critique(SCORES, SCORES[:, None]), Critique(-SCORES, SCORES[:, None] + 1)
    paired = TopK(loss=Relativistic, share=0.5).generator(fake, real)
    expected = Relativistic().generator(Critique(SCORES[[2, 0]]), Critique(-SCORES[[2, 0]]))
    torch.testing.assert_close(paired, expected)
    matched = TopK(loss=lambda: FeatureMatching(loss=Hinge), share=0.25).generator(fake, real)
    assert matched["feature_matching"].item() == pytest.approx((2.0 - 3.0) ** 2)


def test_the_share_follows_its_schedule():
    def learning(loss, index):
        scores = SCORES.clone().requires_grad_(True)
        loss.generator(Critique(scores, step=moment(index)), None).backward()
        return int(scores.grad.count_nonzero())

    steady = TopK(loss=Hinge, share=Scheduled(1.0, to=0.25, over=("iterations", 10)))
    assert [learning(steady, index) for index in (0, 4, 7, 10, 50)] == [4, 3, 2, 1, 1]
    usual = TopK(loss=Hinge)  # 4 · 2^-progress, rounded
    assert [learning(usual, index) for index in (0, 19, 20, 67, 68, 99)] == [4, 4, 3, 3, 2, 2]


def test_the_reals_are_judged_only_where_the_wrapped_loss_looks():
    class Unseen:
        def __getattr__(self, name):
            raise AssertionError(f"{name} was read")

    TopK(loss=Hinge, share=0.5).generator(Critique(SCORES), Unseen())
    with pytest.raises(AssertionError):
        TopK(loss=Relativistic, share=0.5).generator(Critique(SCORES), Unseen())


def test_rows_of_all_that_a_critique_carries():
    critique = Critique(
        SCORES,
        SCORES[:, None],
        {"one": SCORES.view(4, 1, 1)},
        condition=torch.eye(4),
        samples=SCORES.view(4, 1, 1, 1),
        step=moment(3),
        direction=-SCORES,
        temperature=torch.tensor(2.0),
    )
    some = Rows(critique, torch.tensor([2, 0]))
    assert some.scores.tolist() == [2.0, 0.5]
    assert some.features.shape == (2, 1)
    assert some.layers["one"].flatten().tolist() == [2.0, 0.5]
    assert some.condition.argmax(1).tolist() == [2, 0]
    assert some.samples.shape == (2, 1, 1, 1)
    assert some.direction.tolist() == [-2.0, -0.5]
    assert some.fields["direction"].tolist() == [-2.0, -0.5]
    assert some.temperature.item() == 2
    assert some.step.index == 3


def test_none_of_the_fakes_is_refused(checked):
    assert checked("{use: top-k, share: 0}") == ("spec.yaml:7:31: stages.gan.loss.share: must be greater than 0, not 0")
    assert checked("{use: top-k, share: {from: 1, to: 0}}") == (
        "spec.yaml:7:45: stages.gan.loss.share.to: must be greater than 0, not 0"
    )
