import pytest
import torch
from torch.nn.functional import normalize

from ganvas_plugins.heads.san import SanHead

LABELS = torch.eye(3)[[2, 0, 2, 1]]


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3, 2), (1, 5)])
@pytest.mark.parametrize("condition", [None, (3,)])
def test_both_values_are_the_inner_product_with_a_unit_direction(shape, condition):
    torch.manual_seed(0)
    head = SanHead(5, condition)
    with torch.no_grad():
        head.bias.normal_()
        head.scale.uniform_(0.5, 2)
    features, labels = torch.randn(shape), LABELS[: shape[0]]
    critique = head(features, labels if condition else None)
    assert torch.equal(critique.scores, critique.direction)
    assert critique.scores.shape == (shape[0], *shape[2:])
    for sample, label in enumerate(labels.argmax(1).tolist()):
        chosen = label if condition else 0
        weight = head.weight[chosen] / head.weight[chosen].norm()
        hidden = features[sample].movedim(0, -1) + head.bias
        torch.testing.assert_close(critique.scores[sample], head.scale[chosen] * (hidden @ weight))


def test_the_length_of_the_weight_changes_nothing():
    head, features = SanHead(5, None), torch.randn(4, 5)
    before = head(features).scores
    with torch.no_grad():
        head.weight.mul_(7)
    torch.testing.assert_close(head(features).scores, before)


def test_what_each_value_teaches():
    head, features = SanHead(5, (3,)).double(), torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    critique = head(features, LABELS)
    learned = [features, head.weight, head.bias, head.scale]
    grads = torch.autograd.grad(critique.scores.square().sum(), learned, retain_graph=True, allow_unused=True)
    assert [grad is not None for grad in grads] == [True, False, True, True]
    grads = torch.autograd.grad(critique.direction.square().sum(), learned, allow_unused=True)
    assert [grad is not None for grad in grads] == [False, True, False, False]
    # At right angles to the weight of every class.
    assert (grads[1] * head.weight).sum(1).abs().max() < 1e-12
    assert grads[1].norm() > 0.1


def test_parts_can_be_left_out():
    head = SanHead(5, (3,), bias=False, scale=False, per_class=False)
    assert not head.conditional
    assert {name: tuple(value.shape) for name, value in head.named_parameters()} == {"weight": (1, 5)}
    features = torch.randn(4, 5)
    torch.testing.assert_close(head(features, LABELS).scores, features @ normalize(head.weight)[0])
    whole = SanHead(5, (3,))
    assert {name: tuple(value.shape) for name, value in whole.named_parameters()} == {
        "weight": (3, 5),
        "bias": (5,),
        "scale": (3,),
    }


def test_a_mixture_of_classes_has_a_unit_direction_too():
    head = SanHead(5, (3,), bias=False, scale=False)
    directions = head(torch.eye(5), torch.tensor([[0.3, 0.7, 0.0]]).expand(5, -1)).scores
    assert directions.norm().item() == pytest.approx(1, abs=1e-6)


def test_under_bfloat16_the_direction_keeps_its_length():
    head = SanHead(64, (3,))
    with torch.autocast("cpu", torch.bfloat16):
        seen = head._of_class(head.weight, LABELS)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen, head.weight[[2, 0, 2, 1]])
