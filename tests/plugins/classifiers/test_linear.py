"""One affine layer."""

import torch

from ganvas_plugins.classifiers.linear import Linear


def test_is_an_affine_map_of_features_and_of_images():
    for shape in ((5,), (2, 3, 4)):
        classifier = Linear(shape, 7)
        x = torch.randn(4, *shape)
        expected = x.reshape(4, -1) @ classifier.linear.weight.T + classifier.linear.bias
        torch.testing.assert_close(classifier(x), expected)
        assert expected.shape == (4, 7)
