import math

import pytest
import torch

from ganvas_plugins.heads.data_to_data import DataToData
from ganvas_plugins.heads.linear import LinearHead

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
ALIKE = LABELS[:, None] == LABELS


def data_to_data(**options):
    return DataToData(5, (3,), embedding=4, head=LinearHead, **options)


def test_it_is_the_papers_loss_over_a_loop():
    rng = torch.Generator().manual_seed(0)
    to_proxy = 2 * torch.rand(6, generator=rng) - 1
    to_others = 2 * torch.rand(6, 6, generator=rng) - 1
    losses, (t, above, below) = [], (0.3, 0.4, -0.2)
    for i in range(6):
        positive = math.exp(min(to_proxy[i].item() - above, 0) / t)
        negative = sum(math.exp(max(to_others[i, j].item() - below, 0) / t) for j in range(6) if LABELS[j] != LABELS[i])
        losses.append(-math.log(positive / (positive + negative)))
    head = data_to_data(temperature=t, positive_margin=above, negative_margin=below)
    assert head.contrast(to_proxy, to_others, ALIKE).item() == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_easy_samples_have_no_gradient():
    """Closer to their class than m_p, farther from the others than m_n: log(1 + how many others), and flat."""
    to_proxy = torch.full((6,), 0.99, requires_grad=True)
    to_others = torch.full((6, 6), 0.01, requires_grad=True)
    value = data_to_data().contrast(to_proxy, to_others, ALIKE)
    value.backward()
    others = (~ALIKE).sum(1)
    torch.testing.assert_close(value, (1 + others).float().log().mean())
    assert torch.equal(to_proxy.grad, torch.zeros(6))
    assert torch.equal(to_others.grad, torch.zeros(6, 6))


def test_each_hard_pair_has_a_gradient_of_its_own():
    to_proxy = torch.full((6,), 0.99)
    to_proxy[0] = 0.5
    to_others = torch.full((6, 6), 0.01)
    to_others[1, 3] = to_others[2, 0] = 0.5  # of other classes, and of one class
    to_proxy.requires_grad_(True), to_others.requires_grad_(True)
    data_to_data().contrast(to_proxy, to_others, ALIKE).backward()
    assert to_proxy.grad.nonzero().tolist() == [[0]]
    assert to_proxy.grad[0] < 0
    assert to_others.grad.nonzero().tolist() == [[1, 3]]
    assert to_others.grad[1, 3] > 0


def test_samples_of_one_class_are_no_negatives():
    to_proxy = torch.rand(4)
    value = data_to_data().contrast(to_proxy, torch.rand(4, 4), torch.ones(4, 4) > 0)
    assert value.item() == 0
    assert data_to_data().contrast(to_proxy[:1], torch.ones(1, 1), torch.ones(1, 1) > 0).item() == 0


def test_the_defaults_are_the_authors_for_cifar10(make_match):
    head = DataToData(5, (3,), head=LinearHead)
    assert (head.temperature, head.positive_margin, head.negative_margin) == (0.5, 0.98, 0.02)
    assert head.embed.out_features == 512
    samples, condition = torch.randn(4, 5), torch.eye(3)[[0, 1, 2, 0]]
    for side in ("discriminator", "generator"):
        found = make_match(head, side, samples, samples, condition, condition)
        half = head.terms(found)["data-to-data"]
        whole = DataToData(5, (3,), head=LinearHead, discriminator_weight=1.0, generator_weight=1.0)
        whole.load_state_dict(head.state_dict())
        found = make_match(whole, side, samples, samples, condition, condition)
        torch.testing.assert_close(2 * half, whole.terms(found)["data-to-data"])
