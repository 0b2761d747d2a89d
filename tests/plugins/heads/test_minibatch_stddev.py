import numpy
import pytest
import torch

from ganvas_plugins.heads.linear import LinearHead
from ganvas_plugins.heads.minibatch_stddev import MinibatchStddev


def stddev(features=6, **options):
    return MinibatchStddev(features, None, head=LinearHead, **options)


def by_numpy(features, members, channels=1):
    """The statistic of one group, in the paper's words: a deviation per feature and place, averaged over all."""
    deviation = numpy.sqrt(features[members].astype(numpy.float64).var(0) + 1e-8)
    return [block.mean() for block in numpy.split(deviation, channels)]


@pytest.mark.parametrize("places", [(), (3, 5)])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_batch_that_divides_has_numpys_deviations(places, channels):
    features = torch.randn(8, 6, *places)
    found = stddev(channels=channels).statistics(features)
    assert found.shape == (8, channels)
    for group, members in enumerate(([0, 2, 4, 6], [1, 3, 5, 7])):
        expected = torch.tensor(by_numpy(features.numpy(), members, channels)).float()
        torch.testing.assert_close(found[group::2], expected.expand(4, -1))


def test_samples_that_are_left_over_join_a_group():
    features = torch.randn(11, 6)
    found = stddev().statistics(features).squeeze(1)  # 11 = 6 + 5
    for members in ([0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9]):
        torch.testing.assert_close(
            found[members], torch.tensor(by_numpy(features.numpy(), members) * len(members)).float()
        )
    torch.testing.assert_close(
        stddev().statistics(features[:3]), torch.tensor([by_numpy(features.numpy(), [0, 1, 2])] * 3).float()
    )


def test_no_group_size_takes_the_whole_batch():
    features = torch.randn(9, 6)
    found = stddev(group_size=None).statistics(features)
    torch.testing.assert_close(found, torch.tensor([by_numpy(features.numpy(), list(range(9)))] * 9).float())


def test_a_batch_without_variety_has_no_deviation_and_a_finite_gradient():
    for features in (torch.ones(8, 6), torch.randn(1, 6)):
        leaf = features.clone().requires_grad_(True)
        found = stddev().statistics(leaf)
        torch.testing.assert_close(found, torch.full_like(found, 1e-4))
        found.sum().backward()
        assert torch.equal(leaf.grad, torch.zeros_like(features))


def test_it_scales_with_the_features_and_ignores_their_mean():
    features, head = torch.randn(8, 6, 2, 2), stddev()
    plain = head.statistics(features)
    torch.testing.assert_close(head.statistics(3 * features), 3 * plain)
    torch.testing.assert_close(head.statistics(features + 7), plain, rtol=1e-4, atol=1e-5)


def test_features_that_cannot_be_split_are_refused():
    with pytest.raises(ValueError) as refused:
        stddev(features=12, channels=5)
    assert str(refused.value) == "12 features cannot be split into 5 blocks of equally many; set channels to 4"
