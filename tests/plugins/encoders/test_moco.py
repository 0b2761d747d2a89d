"""MoCo: its loss, its key network, and its queue, which is state."""

import math

import pytest
import torch
import torch.nn.functional as F

from ganvas import Progress, Step
from ganvas_plugins.encoders.moco import Moco, info_nce

PROGRESS = Progress(
    Step(
        index=3,
        size=4,
        steps=10,
        device=torch.device("cpu"),
        rng=torch.Generator(),
        draw=lambda source, size: {},
        note_length=lambda: None,
    )
)


def directions(number, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(number, width, generator=generator, dtype=torch.float64), dim=1)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_closed_forms(number, temperature):
    q = torch.eye(6)[:number]
    same, apart = q[:1].expand(5, -1), torch.eye(6)[-1:].expand(5, -1)
    assert info_nce(q[:1], q[:1], same, temperature).item() == pytest.approx(math.log(6), abs=1e-5)
    expected = math.log(1 + 5 * math.exp(-1 / temperature))
    assert info_nce(q, q, apart, temperature).item() == pytest.approx(expected, abs=1e-5)


def test_equals_the_papers_sum():
    q, k, queue = directions(3, 4, 0), directions(3, 4, 1), directions(7, 4, 2)
    total = 0.0
    for query, key in zip(q, k):
        positive = math.exp(float(query @ key) / 0.3)
        total -= math.log(positive / (positive + sum(math.exp(float(query @ other) / 0.3) for other in queue)))
    assert info_nce(q, k, queue, 0.3).item() == pytest.approx(total / 3, rel=1e-9)


@pytest.mark.slow
def test_agrees_with_lightly(same):
    lightly = pytest.importorskip("lightly.loss", reason="pip install -e '.[reference]' brings lightly to compare with")

    def theirs(first, second):
        loss = lightly.NTXentLoss(temperature=0.3, memory_bank_size=(9, first.shape[1]))
        loss.memory_bank.bank = directions(9, first.shape[1], 4)
        loss.memory_bank.bank_ptr = torch.zeros(1, dtype=torch.int64)
        return loss(first, second.detach())

    def ours(first, second):
        first, second = F.normalize(first, dim=1), F.normalize(second.detach(), dim=1)
        return info_nce(first, second, directions(9, first.shape[1], 4), 0.3)

    same(ours, theirs, sizes=((1, 4), (7, 5)))


def test_the_objective_compares_the_first_view_with_the_second_and_the_queue(flat, data):
    torch.manual_seed(0)
    encoder = Moco(flat(), data(), queue=6, projection=4, temperature=0.3).double()
    encoder.target.network[1][0].weight.add_(0.1)
    first, second = torch.randn(2, 5, 3, 2, 2, dtype=torch.float64)
    q, k = encoder.projector(encoder.backbone(first)), encoder.target(second)
    expected = info_nce(F.normalize(q, dim=1), F.normalize(k, dim=1), encoder.queue, 0.3)
    terms = encoder.objective(first, second)
    torch.testing.assert_close(terms, {"info-nce": expected})
    torch.testing.assert_close(encoder.embeddings, encoder.encode(first))
    terms["info-nce"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert {name.split(".")[0] for name, _ in encoder.named_parameters()} == {"backbone", "projector"}


@torch.no_grad()
def test_keys_replace_the_oldest_ones_also_where_batches_do_not_divide_the_queue(flat, data):
    encoder = Moco(flat(), data(), queue=5, projection=4)
    torch.testing.assert_close(encoder.queue.norm(dim=1), torch.ones(5))
    kept = list(encoder.queue.clone())
    for _ in range(4):
        views = torch.randn(2, 3, 3, 2, 2)
        keys = F.normalize(encoder.target(views[1]), dim=1)
        encoder.objective(*views)
        assert torch.equal(encoder.queue, torch.stack(_in_place(kept, encoder)))
        encoder.after_update(PROGRESS)
        kept = [*kept[3:], *keys]
    assert encoder.oldest.item() == 12 % 5
    assert torch.equal(encoder.queue, torch.stack(_in_place(kept, encoder)))


def _in_place(kept, encoder):
    """The keys from the oldest to the newest, as they lie in the ring."""
    oldest = encoder.oldest.item()
    return [*kept[len(kept) - oldest :], *kept[: len(kept) - oldest]]


@torch.no_grad()
def test_the_key_network_follows_by_the_momentum(flat, data):
    encoder = Moco(flat(), data(), queue=4, momentum=0.75)
    before = encoder.target.network[0].linear.weight.clone()
    encoder.backbone.linear.weight.add_(1)
    encoder.objective(*torch.randn(2, 2, 3, 2, 2))
    encoder.after_update(PROGRESS)
    expected = torch.lerp(before, encoder.backbone.linear.weight, 0.25)
    assert torch.equal(encoder.target.network[0].linear.weight, expected)


@torch.no_grad()
def test_queue_and_key_network_are_state(flat, data):
    views = torch.randn(2, 3, 3, 2, 2)
    encoder, other = Moco(flat(), data(), queue=5), Moco(flat(), data(), queue=5)
    encoder.objective(*views)
    encoder.after_update(PROGRESS)
    assert {"queue", "oldest", "target.network.0.linear.weight"} < set(encoder.state_dict())
    other.load_state_dict(encoder.state_dict())
    for made in (encoder, other):
        made.objective(*views)
        made.after_update(PROGRESS)
    assert all(torch.equal(one, two) for one, two in zip(encoder.state_dict().values(), other.state_dict().values()))


def test_a_batch_that_fills_the_queue_more_than_once(flat, data):
    encoder = Moco(flat(), data(), queue=4)
    encoder.check_batch(4)
    with pytest.raises(ValueError) as raised:
        encoder.check_batch(5)
    assert str(raised.value) == (
        "a queue of 4 keys cannot take those of a batch of 5; set queue to 5 or more, or a smaller batch_size"
    )
