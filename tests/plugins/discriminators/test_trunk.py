import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganvas_plugins.discriminators.biggan import BigGanDiscriminator
from ganvas_plugins.discriminators.dcgan import DcganDiscriminator
from ganvas_plugins.discriminators.global_ import GlobalDiscriminator
from ganvas_plugins.discriminators.mlp import MlpDiscriminator
from ganvas_plugins.discriminators.patch import PatchDiscriminator
from ganvas_plugins.discriminators.resnet import ResnetDiscriminator
from ganvas_plugins.heads.linear import LinearHead

NETWORKS = {
    "dcgan": (DcganDiscriminator, {"channels": 4}),
    "global": (GlobalDiscriminator, {"channels": 4}),
    "patch": (PatchDiscriminator, {"channels": 4, "layers": 1}),
    "mlp": (MlpDiscriminator, {"widths": [8]}),
    "resnet": (ResnetDiscriminator, {"channels": 4}),
    "biggan": (BigGanDiscriminator, {"channels": 1}),
}


def head(features, condition):
    return LinearHead(features, condition)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_normalised_where_it_is_asked_for_the_heads_too(name):
    cls, options = NETWORKS[name]
    for wanted in (True, False):
        torch.manual_seed(0)
        network = cls((1, 8, 8), None, **options, spectral_norm=wanted, head=head)
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        assert network.head.score in layers
        assert [is_parametrized(layer) for layer in layers] == [wanted] * len(layers)
        if wanted:
            norms = [torch.linalg.matrix_norm(layer.eval().weight.flatten(1), ord=2) for layer in layers]
            assert torch.stack(norms).sub(1).abs().max() < 0.2  # fifteen steps of the power method


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_that_are_normalised_are_the_initial_ones(name):
    cls, options = NETWORKS[name]
    weights = []
    for wanted in (True, False):
        torch.manual_seed(0)
        network = cls((1, 8, 8), None, **options, spectral_norm=wanted, head=head)
        weights.append(torch.cat([p.flatten() for n, p in network.named_parameters() if p.dim() > 1]))
    normalised, plain = (values.sort().values for values in weights)
    torch.testing.assert_close(normalised, plain)
