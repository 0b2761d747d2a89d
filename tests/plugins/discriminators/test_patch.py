import pytest
import torch

from ganvas_plugins.discriminators.patch import PatchDiscriminator
from ganvas_plugins.heads.linear import LinearHead


def window(features, condition):
    return LinearHead(features, condition, kernel=4)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_as_many_pixels_as_in_the_paper(layers, field):
    network = PatchDiscriminator((1, 128, 128), None, channels=2, layers=layers, norm="none", head=window)
    image = torch.randn(1, 1, 128, 128, requires_grad=True)
    scores = network(image).scores
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, middle, middle], image)
    rows, columns = gradient[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == field
    assert columns.max() - columns.min() + 1 == field


def test_a_256_pixel_image_has_30_by_30_scores_and_any_size_works():
    with torch.device("meta"):
        network = PatchDiscriminator((3, 256, 256), None, head=window)
        assert network(torch.empty(2, 3, 256, 256)).scores.shape == (2, 30, 30)
        assert network(torch.empty(2, 3, 96, 128)).scores.shape == (2, 10, 14)
    # 4x4 kernels of 64, 128, 256, 512 channels and one score; norms' gains and shifts; biases of the first and the last
    assert sum(p.numel() for p in network.parameters()) == 2_763_776 + 2 * (128 + 256 + 512) + 64 + 1


def test_images_too_small_for_the_layers_are_refused_with_a_number_that_fits():
    with pytest.raises(ValueError, match="set layers to 2"):
        PatchDiscriminator((1, 16, 16), None, head=window)
    PatchDiscriminator((1, 16, 16), None, layers=2, head=window)(torch.randn(2, 1, 16, 16))
    assert PatchDiscriminator((1, 28, 28), None, head=window)(torch.randn(2, 1, 28, 28)).scores.shape == (2, 1, 1)


@pytest.mark.parametrize(("norm", "alone"), [("batch", False), ("instance", True), ("none", True)])
def test_only_batch_norm_mixes_samples(norm, alone):
    network = PatchDiscriminator((1, 32, 32), None, channels=4, norm=norm, head=window)
    images = torch.randn(3, 1, 32, 32)
    assert torch.allclose(network(images).scores[:1], network(images[:1]).scores, atol=1e-6) == alone


def test_weights_start_small():
    network = PatchDiscriminator((3, 64, 64), None, head=window)
    weight = network.blocks["level2"][0].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert network.head.score.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not network.head.score.bias.any()
