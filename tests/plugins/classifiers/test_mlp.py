"""The multi-layer perceptron."""

import torch

from ganvas_plugins.classifiers.mlp import Mlp


def test_equals_its_equation():
    classifier = Mlp((2, 3, 4), 5, hidden=8, layers=2)
    x = torch.randn(3, 2, 3, 4)
    first, second = classifier.hidden[0][0], classifier.hidden[1][0]
    hidden = (x.flatten(1) @ first.weight.T + first.bias).relu()
    hidden = (hidden @ second.weight.T + second.bias).relu()
    torch.testing.assert_close(classifier.embed(x), hidden)
    torch.testing.assert_close(classifier(x), hidden @ classifier.output.weight.T + classifier.output.bias)
    assert classifier.features == 8


def test_dropout_only_while_training():
    classifier = Mlp((6,), 2, hidden=64, dropout=0.5)
    x = torch.randn(2, 6)
    assert not torch.equal(classifier.train()(x), classifier(x))
    assert torch.equal(classifier.eval()(x), classifier(x))


def test_learns_what_no_affine_map_can():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])
    classifier = Mlp((2,), 2, hidden=16)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.05)
    for _ in range(200):
        loss = torch.nn.functional.cross_entropy(classifier(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(classifier(x).argmax(1), y)
