import pytest
import torch

from ganvas import Critique
from ganvas_plugins.augmentations.ada import Ada
from ganvas_plugins.augmentations.apa import Apa


def observed(augmentation, *batches):
    """p after each batch of scores."""
    found = []
    for scores in batches:
        augmentation.observe(Critique(torch.as_tensor(scores, dtype=torch.float32)))
        found.append(augmentation.probability.item())
    return found


@pytest.mark.parametrize("kind", [Ada, Apa])
def test_it_rises_by_the_images_seen_every_fourth_update(kind):
    augmentation = kind(ramp=100)
    found = observed(augmentation, *[[2.0] * 5] * 9)
    assert found == pytest.approx([0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.4, 0.4])


def test_after_any_number_of_observations_it_is_the_closed_form():
    batch, updates = 64, 1003
    found = observed(Ada(), *[torch.ones(batch)] * updates)[-1]
    assert found == pytest.approx(updates // 4 * 4 * batch / 500_000, rel=1e-4)


def test_it_goes_towards_the_target_from_both_sides():
    sure, unsure = torch.tensor([1.0] * 9 + [-1.0]), torch.tensor([1.0] * 7 + [-1.0] * 3)  # mean signs 0.8 and 0.4
    options = {"every": 1, "ramp": 100, "start": 0.5}
    assert observed(Ada(**options), sure, sure, unsure) == pytest.approx([0.6, 0.7, 0.6])
    # At the target itself it stays; the mean is that of all reals since the last change.
    assert observed(Ada(**options | {"target": 0.8, "every": 2}), sure, sure) == pytest.approx([0.5, 0.5])
    assert observed(Ada(**options | {"every": 2}), sure, unsure * 1e-9) == pytest.approx([0.5, 0.5])
    assert observed(Ada(**options | {"target": 0.5}), unsure) == pytest.approx([0.4])


def test_it_stays_between_zero_and_its_maximum():
    options = {"every": 1, "ramp": 10}
    assert observed(Ada(**options, maximum=0.7), *[[1.0] * 4] * 3) == pytest.approx([0.4, 0.7, 0.7])
    assert observed(Ada(**options, start=0.3), [-1.0] * 4, [-1.0] * 4, [1.0] * 4) == pytest.approx([0, 0, 0.4])


def test_without_a_target_it_stays():
    assert observed(Ada(start=0.3, target=None, every=1), [1.0], [-1.0]) == pytest.approx([0.3, 0.3])


def test_a_sample_of_patches_counts_by_the_mean_of_their_signs():
    patches = torch.ones(2, 3, 3)
    patches[0, 0] = -1  # mean signs 1/3 and 1: 2/3 in all
    options = {"every": 1, "ramp": 20}
    assert observed(Ada(**options), patches) == pytest.approx([0.1])
    assert observed(Ada(**options, target=0.7, start=0.5), patches) == pytest.approx([0.4])


def test_its_state_goes_on_between_two_changes():
    one, other = Ada(ramp=100, start=0.2), Ada(ramp=100)
    observed(one, [1.0] * 3, [1.0] * 2, [1.0])
    other.load_state_dict(one.state_dict())
    assert observed(other, [-0.1] * 2) == observed(one, [-0.1] * 2) == pytest.approx([0.12])  # (6 - 2) / 8 < 0.6
    assert set(one.state_dict()) == {"probability", "signs", "images", "updates"}


def test_a_start_above_the_maximum():
    with pytest.raises(ValueError) as caught:
        Apa(start=0.9, maximum=0.8)
    assert str(caught.value) == "the probability starts at 0.9, above its maximum 0.8; lower start"
