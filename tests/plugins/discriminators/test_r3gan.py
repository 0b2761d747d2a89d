import pytest
import torch
from torch.nn.functional import softplus

from ganvas_plugins.discriminators.r3gan import R3GanDiscriminator
from ganvas_plugins.generators.r3gan import R3Gan
from ganvas_plugins.heads.linear import LinearHead


def small(shape=(1, 8, 8), condition=None, **options):
    return R3GanDiscriminator(shape, condition, head=LinearHead, **{"channels": 8, "blocks": 1, **options})


def test_the_papers_network_for_256_pixels_has_its_23_010_thousand_parameters():
    with torch.device("meta"):
        network = R3GanDiscriminator((3, 256, 256), None, head=LinearHead)
    assert sum(p.numel() for p in network.parameters()) == 23_009_568 + 1  # and the bias of the head


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 64)])
def test_any_size_that_halves_gives_one_score_per_image(shape):
    critique = small(shape)(torch.randn(3, *shape))
    assert critique.scores.shape == (3,)
    assert critique.features.shape[0] == 3
    assert 4 <= min(critique.layers["base"].shape[-2:]) <= 7


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\[28, 28\] or \[32, 32\]"):
        small((1, 30, 30))


def test_at_the_start_its_score_is_affine_in_the_image():
    network, images = small((3, 16, 24)), torch.randn(2, 3, 16, 24)
    score = network(images).scores
    torch.testing.assert_close(network(images.flip(0).lerp(images, 0.3)).scores, score.flip(0).lerp(score, 0.3))


def test_a_score_is_one_samples_own():
    network, images = small(), torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(images).scores[:1], network(images[:1]).scores)


def gradient(network, images):
    leaf = images.detach().requires_grad_(True)
    scores = network(leaf).scores
    (slope,) = torch.autograd.grad(scores.sum(), leaf, create_graph=True)
    return scores, slope.flatten(1).square().sum(1).mean()


def test_a_gradient_penalty_reaches_every_weight_once_the_blocks_are_no_identities():
    network = small((1, 16, 16))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "narrow" in name:
                parameter.normal_(0, 0.1)
    gradient(network, torch.randn(3, 1, 16, 16))[1].backward()
    assert all(p.grad.any() for name, p in network.named_parameters() if name.endswith("weight"))


@pytest.mark.slow
def test_with_its_loss_and_penalties_it_finds_both_shades_of_a_toy():
    """Images of one of two shades, ±½; the paired loss with R1 and R2, as the paper trains it."""
    torch.manual_seed(0)
    generator, critic = R3Gan((1, 8, 8), None, channels=8, latent=4, blocks=1), small()
    players = [torch.optim.Adam(part.parameters(), 3e-3, betas=(0.0, 0.9)) for part in (generator, critic)]
    for _ in range(400):
        real = torch.randint(0, 2, (32, 1, 1, 1)).float().sub(0.5).expand(-1, 1, 8, 8)
        (judged, r1), (taken, r2) = gradient(critic, real), gradient(critic, generator(torch.randn(32, 4)))
        players[1].zero_grad()
        (softplus(taken - judged).mean() + 0.15 * (r1 + r2)).backward()
        players[1].step()
        players[0].zero_grad()
        made = critic(generator(torch.randn(32, 4))).scores
        softplus(critic(real).scores.detach() - made).mean().backward()
        players[0].step()
    shades = generator(torch.randn(400, 4)).mean((1, 2, 3))
    assert 0.3 < (shades > 0).float().mean() < 0.7
    assert shades.abs().mean().item() == pytest.approx(0.5, abs=0.2)
    assert shades.abs().std() < 0.25
