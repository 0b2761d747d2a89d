import math

import pytest
import torch

from ganvas_plugins.heads.contrastive import Contrastive
from ganvas_plugins.heads.linear import LinearHead


def contrastive(temperature=1.0):
    return Contrastive(5, (3,), temperature=temperature, embedding=4, head=LinearHead)


def test_it_is_the_papers_loss_over_a_loop():
    rng, t = torch.Generator().manual_seed(0), 0.3
    to_proxy = 2 * torch.rand(6, generator=rng) - 1
    to_others = 2 * torch.rand(6, 6, generator=rng) - 1
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    losses = []
    for i in range(6):
        proxy = math.exp(to_proxy[i] / t)
        pulled = sum(math.exp(to_others[i, k] / t) for k in range(6) if k != i and labels[k] == labels[i])
        everything = sum(math.exp(to_others[i, k] / t) for k in range(6) if k != i)
        losses.append(-math.log((proxy + pulled) / (proxy + everything)))
    found = contrastive(t).contrast(to_proxy, to_others, labels[:, None] == labels)
    assert found.item() == pytest.approx(sum(losses) / 6, rel=1e-5)


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 0.5])
def test_equal_embeddings_of_distinct_classes(cosine):
    """All labels distinct, all embeddings equal: -log(e^(c/t) / (e^(c/t) + (N - 1) e^(1/t)))."""
    number, t = 5, 0.5
    found = contrastive(t).contrast(torch.full((number,), cosine), torch.ones(number, number), torch.eye(number) > 0)
    expected = -math.log(math.exp(cosine / t) / (math.exp(cosine / t) + (number - 1) * math.exp(1 / t)))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_one_class_alone_costs_nothing():
    rng = torch.Generator().manual_seed(0)
    values = torch.rand(4, generator=rng), torch.rand(4, 4, generator=rng)
    assert contrastive().contrast(*values, torch.ones(4, 4) > 0).item() == 0
    assert contrastive().contrast(torch.rand(1), torch.ones(1, 1), torch.ones(1, 1) > 0).item() == 0


def test_a_sample_is_not_its_own_neighbour():
    labels, found = torch.tensor([0, 1, 0]), []
    for own in (1.0, -1.0, 30.0):
        to_others = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)).fill_diagonal_(own)
        found.append(contrastive().contrast(torch.zeros(3), to_others, labels[:, None] == labels).item())
    assert found[0] == found[1] == found[2]


def test_descending_pulls_within_a_class_and_pushes_apart_others(make_match):
    torch.manual_seed(0)
    head, condition = contrastive(), torch.eye(3)[[0, 0, 1, 1]]
    samples = torch.randn(4, 5, requires_grad=True)
    optimizer = torch.optim.Adam([samples, *head.parameters()], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        terms = head.terms(make_match(head, "discriminator", samples, samples, condition, condition))
        terms["contrastive"].backward()
        optimizer.step()
    embeddings = torch.nn.functional.normalize(head.embed(samples), dim=1)
    cosines = embeddings @ embeddings.T
    assert min(cosines[0, 1], cosines[2, 3]) > 0.95
    assert cosines[:2, 2:].max() < -0.95
