import pytest
import torch

from ganvas_plugins.discriminators.dcgan import DcganDiscriminator
from ganvas_plugins.heads.linear import LinearHead


def head(features, condition):
    return LinearHead(features, condition)


def test_the_default_at_64_pixels_is_the_common_port():
    with torch.device("meta"):
        network = DcganDiscriminator((3, 64, 64), None, head=head)
    # the port's 2,765,568 and the biases of the first layer and of the score
    assert sum(p.numel() for p in network.parameters()) == 2_765_568 + 64 + 1
    assert not [m for m in network.blocks["level0"] if isinstance(m, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 48, 64)])
def test_sizes_and_kernels(shape, kernel):
    network = DcganDiscriminator(shape, None, channels=4, kernel=kernel, head=head)
    critique = network(torch.randn(2, *shape))
    assert critique.scores.shape == (2,)
    assert critique.layers["level0"].shape[-1] == shape[-1] // 2


def test_without_batch_norm_a_score_is_one_samples_own():
    images = torch.randn(3, 1, 16, 16)
    for norm, alone in (("batch", False), ("none", True)):
        network = DcganDiscriminator((1, 16, 16), None, channels=4, norm=norm, head=head)
        assert torch.allclose(network(images).scores[:1], network(images[:1]).scores, atol=1e-6) == alone


def test_a_condition_changes_the_scores_when_asked_for():
    network = DcganDiscriminator((1, 16, 16), (3,), channels=4, norm="none", head=head, conditional=True)
    images, ones = torch.randn(2, 1, 16, 16), torch.eye(3)[:2]
    assert not torch.allclose(network(images, ones).scores, network(images, ones.flip(0)).scores)
