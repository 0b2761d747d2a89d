import pytest
import torch
from torch import nn

from ganvas import Critique, Discriminator
from ganvas_plugins.discriminators.global_ import GlobalDiscriminator
from ganvas_plugins.discriminators.unet import UnetDiscriminator
from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.regularizers.cutmix import CutMix, cut


class Pixels(Discriminator):
    """A pixel's score is three times its value, and ``far`` times the image's mean."""

    layers = ("pixels",)

    def __init__(self, far):
        super().__init__()
        self.far = nn.Parameter(torch.tensor(far))

    def forward(self, samples, condition=None):
        scores = 3 * samples + self.far * samples.mean((1, 2, 3), keepdim=True)
        return Critique(scores[:, 0], layers={"pixels": scores})


def test_scores_that_look_at_nothing_but_their_pixel_cost_nothing(make_duel, make_match):
    duel = make_duel(Pixels(0.0), lambda duel: CutMix(duel))
    assert duel.regularizers[0].penalty(make_match(duel)).item() == pytest.approx(0, abs=1e-12)


def test_what_a_score_reads_beyond_the_cut_is_paid_for(make_duel, make_match):
    duel = make_duel(Pixels(2.0), lambda duel: CutMix(duel, weight=0.5))
    match = make_match(duel)
    penalty = duel.penalty(duel.regularizers[0], match)["penalty/cutmix"]
    mask = cut(match.real, make_match(duel).step.rng)
    mixed = mask * match.real + (1 - mask) * match.fake
    means = [images.mean((1, 2, 3), keepdim=True) for images in (mixed, match.real, match.fake)]
    wanted = 2 * (means[0] - mask * means[1] - (1 - mask) * means[2])
    torch.testing.assert_close(penalty, 0.5 * wanted.square().mean())
    penalty.backward()
    assert duel.discriminator.far.grad.item() == pytest.approx(penalty.item(), rel=1e-4)  # d/df f² = 2 f² / f


def test_rectangles_have_uniform_shares_and_the_images_proportions():
    masks = cut(torch.zeros(4000, 3, 40, 20), torch.Generator().manual_seed(0))
    assert masks.shape == (4000, 1, 40, 20)
    assert set(masks.unique().tolist()) == {0, 1}
    holes = 1 - masks
    rows, columns = holes.amax((1, 3)), holes.amax((1, 2))
    assert torch.equal(rows[:, :, None] * columns[:, None], holes[:, 0])  # nothing but rectangles
    whole = (rows[:, 0] + rows[:, -1] + columns[:, 0] + columns[:, -1]) == 0  # nothing was cut off
    tall, wide = rows.sum(1)[whole], columns.sum(1)[whole]
    assert (tall - 2 * wide).abs().max() <= 3
    # A side's middle is uniform: of a side that is s of the image's, s - s² / 4 stays inside on average; s² is uniform.
    expected = torch.tensor([((s := k / 1000) ** 0.5 - s / 4) ** 2 for k in range(1000)]).mean()
    assert holes.mean().item() == pytest.approx(expected.item(), rel=0.03)


def test_a_discriminator_without_scores_of_pixels_is_refused(make_duel):
    with pytest.raises(ValueError) as caught:
        make_duel(GlobalDiscriminator((1, 8, 8), None, channels=4, head=LinearHead), lambda duel: CutMix(duel))
    assert str(caught.value) == (
        "GlobalDiscriminator has no scores of pixels that cutmix could compare; use discriminator: unet, or leave out "
        "cutmix"
    )


def test_two_conditions_in_one_image_are_refused(make_duel):
    network = UnetDiscriminator((1, 8, 8), (3,), channels=4, head=LinearHead, conditional=True)
    with pytest.raises(ValueError) as caught:
        make_duel(network, lambda duel: CutMix(duel))
    assert str(caught.value) == (
        "cutmix mixes a real image with a fake, and a conditional discriminator cannot judge what has two conditions; "
        "set fakes: batch"
    )
